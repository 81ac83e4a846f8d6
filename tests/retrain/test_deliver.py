"""Shadow, canary and promotion by a running miner's own manager and gates, asked over its control socket."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streetvision.errors import OperatorError
from streetvision.prediction_log.schema import DATABASE, LOG_FOLDER
from streetvision.retrain.step import Interrupted, Refused, RolledBack, Stopped, Waiting
from streetvision.retrain.steps import trial
from streetvision.retrain.steps.deliver import abandon
from streetvision.retrain_log.records import StepName
from streetvision.settings.model import ModelSettings
from streetvision.settings.retrain import RetrainSettings
from streetvision.settings.settings import Settings

from .fakes import START, FakeTime
from .running_miner import RunningMiner
from .streets import Street

NEW = "1.1.0"
DELIVERING = (StepName.SHADOW, StepName.CANARY, StepName.PROMOTE)


def turned_round(means: np.ndarray) -> np.ndarray:
    return (100.0 - means) / 20.0


@dataclass
class BusyTime(FakeTime):
    """While retraining sleeps, the miner is asked."""

    meanwhile: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.meanwhile()


@pytest.fixture
def state() -> Iterator[Path]:
    """A short path, as Unix sockets need."""
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        yield Path(name)


@pytest.fixture
def miner(state: Path) -> Iterator[RunningMiner]:
    with RunningMiner(state) as made:
        yield made


@pytest.fixture
def night(state: Path) -> Street:
    """A run that has published a version; every second that it sleeps the miner gets requests."""
    made = Street(state, RetrainSettings(shadow_minutes=2.0, canary_minutes=3.0, canary_share=0.5), BusyTime())
    made.store.add(made.run)
    made.store.begin_step(made.run.id, StepName.PUBLISH, made.time.now())
    made.store.finish_step(made.run.id, StepName.PUBLISH, {"version": NEW}, made.time.now())
    return made


def busy(night: Street, miner: RunningMiner) -> None:
    assert isinstance(night.time, BusyTime)
    night.time.meanwhile = miner.traffic


def test_a_good_version_is_shadowed_tried_and_promoted(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    busy(night, miner)
    shadow = night.do(StepName.SHADOW)
    assert (shadow["passed"], shadow["verdict"]) == (True, "promote")
    canary = night.do(StepName.CANARY)
    assert canary["serving"]
    assert canary["decision"]["by"] == "gates"
    assert night.do(StepName.PROMOTE) == {"serving": True, "url": ""}
    assert miner.status()["active"]["version"] == NEW
    assert miner.decisions(NEW) == ["shadow", "shadow_passed", "stopped", "canary", "promote"]
    compared = [one for one in night.events if one["event"] == "progress"]
    assert {one["what"] for one in compared} >= {"shadow of 1.1.0, images", "canary of 1.1.0, images"}
    assert all(one["done"] <= one["total"] for one in compared)


def test_a_regression_in_the_shadow_answers_nobody(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW, answer=turned_round)
    busy(night, miner)
    with pytest.raises(Refused, match=r"gates ended the shadow of version 1\.1\.0: it agrees on \d+ of \d+ images"):
        night.do(*DELIVERING)
    assert miner.status()["active"]["version"] == "1.0.0"
    assert "canary" not in miner.decisions(NEW)


def test_a_regression_in_the_canary_is_rolled_back_and_marked(night: Street, miner: RunningMiner) -> None:
    night.want(shadow_minutes=0.0)
    miner.add(NEW, answer=turned_round)
    busy(night, miner)
    with pytest.raises(RolledBack, match=r"the miner took version 1\.1\.0 off: it agrees on"):
        night.do(*DELIVERING)
    assert miner.status()["active"]["version"] == "1.0.0"
    assert NEW in miner.status()["bad"]
    with pytest.raises(RolledBack):
        night.do(StepName.SHADOW)
    assert miner.decisions(NEW).count("canary") == 1


def test_without_traffic_the_version_waits_and_the_trial_ends(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    with pytest.raises(Waiting, match=r"3 min brought no verdict \(0 of 40 different images") as waiting:
        night.do(*DELIVERING)
    assert "models swap 1.1.0" in waiting.value.remedy
    assert miner.status()["candidate"] is None
    assert NEW not in miner.status()["bad"]
    assert night.time.seconds >= 5 * 60


def test_without_a_miner_the_version_waits(night: Street) -> None:
    with pytest.raises(Waiting, match=r"version 1\.1\.0 is in the registry and does not serve: no miner runs"):
        night.do(StepName.SHADOW)
    assert night.time.seconds >= trial.PATIENCE_S


def test_a_miner_that_comes_back_is_waited_for(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    miner.close()
    assert isinstance(night.time, BusyTime)

    def comes_back() -> None:
        miner.open()
        busy(night, miner)

    night.time.meanwhile = comes_back
    night.do(*DELIVERING)
    assert miner.status()["active"]["version"] == NEW


def test_a_restart_in_the_midst_of_a_trial_is_told_and_begun_anew_by_the_next_run(
    night: Street, miner: RunningMiner
) -> None:
    miner.add(NEW)
    assert isinstance(night.time, BusyTime)

    def restarts() -> None:
        miner.close()
        miner.open()
        busy(night, miner)

    night.time.meanwhile = restarts
    with pytest.raises(Interrupted, match=r"the trial of version 1\.1\.0 ended without a verdict: the miner stopped"):
        night.do(StepName.SHADOW)
    night.do(*DELIVERING)
    assert miner.status()["active"]["version"] == NEW


def test_who_ends_the_trial_by_hand_decides_about_the_version(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    assert isinstance(night.time, BusyTime)

    def ends_it() -> None:
        if miner.status()["candidate"] is not None:
            miner.ask(miner.house.manager.stop_shadow)

    night.time.meanwhile = ends_it
    with pytest.raises(Waiting, match="you ended its trial"):
        night.do(StepName.SHADOW)


def test_the_miner_says_that_retraining_began_and_ended_the_trial(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    night.stop = lambda: night.time.seconds > 20
    with pytest.raises(Stopped):
        night.do(StepName.SHADOW)
    said = [(one["event"], one["why"], one["by"]) for one in miner.status()["decisions"]]
    assert said == [
        ("shadow", "started by retraining", "retraining"),
        ("stopped", "stopped by retraining", "retraining"),
    ]


@pytest.mark.parametrize("step", [StepName.SHADOW, StepName.CANARY])
def test_who_stops_the_run_ends_the_trial(night: Street, miner: RunningMiner, step: StepName) -> None:
    miner.add(NEW)
    night.stop = lambda: night.time.seconds > 20
    with pytest.raises(Stopped):
        night.do(step)
    assert miner.status()["candidate"] is None
    assert NEW not in miner.status()["bad"]


def test_a_step_that_is_done_again_finds_the_trial_that_goes_on(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    miner.ask(lambda: miner.house.manager.canary(NEW, 0.5))
    assert night.do(StepName.SHADOW) == {"serving": False}
    busy(night, miner)
    assert night.do(StepName.CANARY)["serving"]
    assert miner.decisions(NEW).count("canary") == 1


def test_a_step_that_is_done_again_finds_that_it_was_promoted(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    miner.ask(lambda: miner.house.manager.swap(NEW))
    assert night.do(*DELIVERING) == {"serving": True, "url": ""}
    assert miner.decisions(NEW) == ["swap"]


def test_a_version_that_was_taken_off_after_its_promotion_is_no_success(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    miner.ask(lambda: miner.house.manager.swap(NEW))
    night.do(StepName.SHADOW, StepName.CANARY)
    miner.ask(miner.house.manager.rollback)
    with pytest.raises(RolledBack, match="rolled back by hand"):
        night.do(StepName.PROMOTE)


def test_another_trial_is_not_disturbed(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    miner.add("2.0.0")
    miner.ask(lambda: miner.house.manager.shadow("2.0.0"))
    with pytest.raises(OperatorError, match=r"Version 2\.0\.0 is tried as shadow"):
        night.do(StepName.SHADOW)
    night.stop = lambda: True
    abandon(night.context(StepName.PROMOTE))
    assert miner.status()["candidate"]["version"] == "2.0.0"


def test_a_run_that_is_given_up_takes_its_trial_back(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    miner.ask(lambda: miner.house.manager.canary(NEW, 0.5))
    abandon(night.context(StepName.CANARY))
    assert miner.status()["candidate"] is None
    miner.close()
    abandon(night.context(StepName.CANARY))
    miner.open()


def test_a_version_that_is_not_to_be_put_on_waits(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    night.want(deploy=False)
    with pytest.raises(Waiting, match=r"--retrain\.deploy is false"):
        night.do(StepName.SHADOW)
    assert miner.decisions(NEW) == []


def test_what_serves_is_uploaded_where_that_is_wanted(night: Street, miner: RunningMiner) -> None:
    miner.add(NEW)
    miner.ask(lambda: miner.house.manager.swap(NEW))
    night.want(publish=True)
    night.do(StepName.SHADOW, StepName.CANARY)
    asked: list[tuple[str, dict[str, Any]]] = []

    class WithRepo(Street):
        @property
        def settings(self) -> Settings:
            return replace(super().settings, model=ModelSettings(repo="me/roadwork"))

    def upload(context: object, job: str, request: dict[str, Any], *_: object) -> dict[str, str]:
        asked.append((job, request))
        return {"url": "https://hub/me/roadwork"}

    found = WithRepo(night.state, night.wanted, night.time).do(StepName.PROMOTE, work=upload)
    assert found == {"serving": True, "url": "https://hub/me/roadwork"}
    ((job, request),) = asked
    assert (job, request["repo"], request["version"]) == ("upload", "me/roadwork", NEW)


def with_log(night: Street) -> None:
    """As if the run had come all the way, and the miner kept a log."""
    for name, output in (
        (StepName.DATASET, {"pictures": "list"}),
        (StepName.TRAIN, {"candidate": "new"}),
        (StepName.EVALUATE, {"against_folder": "old"}),
    ):
        night.store.begin_step(night.run.id, name, night.time.now())
        night.store.finish_step(night.run.id, name, output, night.time.now())
    (night.state / LOG_FOLDER).mkdir()
    (night.state / LOG_FOLDER / DATABASE).touch()


@pytest.mark.parametrize("outcome", ["passed", "unjudged", "refused"])
def test_a_loss_on_what_it_was_asked_takes_it_off_again(night: Street, miner: RunningMiner, outcome: str) -> None:
    """Labels of the trial's requests that came meanwhile have the last word."""
    miner.add(NEW)
    with_log(night)
    miner.ask(lambda: miner.house.manager.swap(NEW))
    night.do(StepName.SHADOW, StepName.CANARY)

    def work(context: object, job: str, request: dict[str, Any], *_: object) -> dict[str, Any]:
        assert (job, request["candidate"], request["serving"]) == ("answered", "new", "old")
        assert request["since"] == START.timestamp()
        return {"name": "answered_requests", "outcome": outcome, "why": "it is worse", "improved": False, "figures": {}}

    if outcome == "refused":
        with pytest.raises(RolledBack, match=r"taken off again: on the requests of its trial it is worse"):
            night.do(StepName.PROMOTE, work=work)
        assert miner.status()["active"]["version"] == "1.0.0"
        assert NEW in miner.status()["bad"]
    else:
        assert night.do(StepName.PROMOTE, work=work)["serving"]
        assert miner.status()["active"]["version"] == NEW
    assert night.verdicts() == {"answered_requests": outcome != "refused"}
