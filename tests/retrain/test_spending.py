"""What training costs is counted while it goes on, and ends it at its bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from streetvision.errors import OperatorError
from streetvision.retrain.child import JobStopped, Tell
from streetvision.retrain.step import Context, Stopped
from streetvision.retrain.steps.train import told
from streetvision.retrain_log.records import StepName
from streetvision.settings.retrain import RetrainSettings

from .streets import LEARNING, Street, street

MINUTE, HOUR = 60.0, 3600.0
DOUBT = {"name": "new_labels", "outcome": "passed", "why": "", "improved": False, "figures": {}}


@pytest.fixture
def made(tmp_path: Path) -> Street:
    one = street(tmp_path)
    one.do(*LEARNING[:4])
    return one


def training(made: Street, *, minutes: float, gpus: int = 2, dies: Exception | None = None) -> Any:
    """A training that says every half minute how far it is, and takes that long by the run's own clock."""

    def work(
        context: Context, job: str, request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]
    ) -> dict[str, Any]:
        if job == "doubt":
            return dict(DOUBT)
        tell({"event": "training", "training": "t", "gpus": gpus})
        tell({"event": "tracking", "url": "https://wandb/t"})
        for step in range(int(2 * minutes)):
            made.time.seconds += 30.0
            tell({"event": "progress", "step": step})
            if stop():
                raise JobStopped
        if dies is not None:
            raise dies
        return {"training": "t", "candidate": "c"}

    return work


def test_gpu_hours_and_money_are_counted(made: Street) -> None:
    made.want(gpu_price=3.0)
    made.do(StepName.TRAIN, work=training(made, minutes=90))
    spent = made.store.spent(run=made.run.id)
    assert (spent.gpu_hours, spent.money) == pytest.approx((3.0, 9.0))


def test_a_training_without_a_gpu_costs_nothing(made: Street) -> None:
    output = made.do(StepName.TRAIN, work=training(made, minutes=90, gpus=0))
    assert output["tracking_url"] == "https://wandb/t"
    assert made.store.spent().gpu_hours == 0.0


def test_what_was_spent_before_a_failure_is_counted(made: Street) -> None:
    with pytest.raises(OperatorError, match="the GPU is gone"):
        made.do(StepName.TRAIN, work=training(made, minutes=10.5, dies=OperatorError("the GPU is gone")))
    assert made.store.spent().gpu_hours == pytest.approx(2 * 10.5 / 60)


@pytest.mark.parametrize(
    ("wanted", "said", "spent"),
    [
        ({"max_hours": 1.0}, r"more than 1 hours: raise --retrain\.max_hours", 2.0),
        ({"gpu_hours": 1.0}, r"1\.0\d of 1\.00 GPU hours spent this month: wait, or raise --retrain\.gpu_hours", 1.0),
        ({"gpu_price": 2.0, "budget": 3.0}, r"3\.0\d of 3\.00 of money spent this month", 1.5),
    ],
)
def test_a_bound_ends_the_training(made: Street, wanted: dict[str, float], said: str, spent: float) -> None:
    made.want(**wanted)
    with pytest.raises(OperatorError, match=said):
        made.do(StepName.TRAIN, work=training(made, minutes=600))
    assert made.store.spent().gpu_hours == pytest.approx(spent, abs=2 * 2 * MINUTE / HOUR)


def test_a_log_that_fails_ends_the_training_and_not_the_thread_that_listens(made: Street) -> None:
    heard: list[str] = []

    def work(
        context: Context, job: str, request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]
    ) -> dict[str, Any]:
        if job == "doubt":
            return dict(DOUBT)
        tell({"event": "training", "training": "t", "gpus": 2})
        made.time.seconds += 2 * MINUTE
        made.store.file.write_bytes(b"no database" * 999)
        tell({"event": "progress", "step": 1})
        heard.append("progress")
        stop()
        return {"training": "t", "candidate": "c"}

    with pytest.raises(OperatorError, match="it is damaged"):
        made.do(StepName.TRAIN, work=work)
    assert heard == ["progress"]


def test_the_operators_wish_to_stop_is_no_failure(made: Street) -> None:
    made.stop = lambda: made.time.seconds > 600
    with pytest.raises(Stopped):
        made.do(StepName.TRAIN, work=training(made, minutes=600))


def test_a_trainings_step_is_not_the_runs() -> None:
    assert told({"event": "progress", "step": 3, "loss": 0.1}) == {
        "event": "progress",
        "at_step": 3,
        "loss": 0.1,
        "what": "training",
    }
    assert RetrainSettings().gpu_price == 0.0
