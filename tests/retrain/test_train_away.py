"""A night whose training learns at Modal: the candidate is what it would have been, and money ends it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("modal", reason="the extra `modal` is not installed")

from streetvision.errors import ConfigError, OperatorError
from streetvision.models.folder import WEIGHTS_FILE
from streetvision.retrain.step import Stopped
from streetvision.retrain_log.records import StepName
from streetvision.settings.retrain import RetrainSettings

from ..serverless.folder_place import FolderPlace
from .streets import LEARNING, Street, street


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderPlace:
    found = FolderPlace(tmp_path / "volume")
    monkeypatch.setattr("streetvision.serverless.training_app.ModalPlace", lambda _: found)
    return found


@pytest.fixture
def made(tmp_path: Path) -> Street:
    one = street(tmp_path, on="modal", gpu_price=1.0)
    one.do(*LEARNING[:4])
    return one


def test_the_candidate_is_trained_there(made: Street, place: FolderPlace) -> None:
    output = made.do(StepName.TRAIN)
    assert (Path(output["candidate"]) / WEIGHTS_FILE).is_file()
    assert output["gpus"] == 1
    assert any(name.startswith("pictures/") for name in place.sent)
    assert "progress" in {event["event"] for event in made.events}


def test_spent_money_ends_the_training_with_a_reason(made: Street, place: FolderPlace) -> None:
    place.seconds = 0.0
    with pytest.raises(OperatorError, match=r"the money for this training is spent .* raise --retrain.usd"):
        made.do(StepName.TRAIN)


def test_a_stopped_run_can_go_on(made: Street, place: FolderPlace) -> None:
    asked = iter([False, False, False])
    made.stop = lambda: next(asked, True)
    with pytest.raises(Stopped):
        made.do(StepName.TRAIN)
    made.stop = lambda: False
    assert made.do(StepName.TRAIN)["candidate"]


def test_without_the_extra_the_run_says_so(made: Street, place: FolderPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.serverless.troubles.find_spec", lambda _: None)
    with pytest.raises(OperatorError, match=r"pip install 'streetvision\[modal\]'"):
        made.do(StepName.TRAIN)


def test_a_rented_gpu_has_a_price() -> None:
    with pytest.raises(ConfigError, match=r"--retrain\.gpu_price"):
        RetrainSettings(on="modal")
    with pytest.raises(ConfigError, match="W&B"):
        RetrainSettings(on="modal", gpu_price=1.0, tracking=True)
