"""Retraining's variations: of training pictures alone, kept by kind where they pay, never in the way of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streetvision.errors import OperatorError
from streetvision.retrain.child import JobStopped
from streetvision.retrain.step import Context, Stopped
from streetvision.retrain.steps.synthesise import SETS, synthesise
from streetvision.retrain_log.records import StepName
from streetvision.settings.retrain import RetrainSettings
from streetvision.settings.settings import Settings
from streetvision.settings.synthetic import SyntheticSettings
from streetvision.sources.listed import ListedDataset
from streetvision.sources.place import dataset_folder
from streetvision.sources.source import PARENT
from streetvision.sources.stored import StoredDataset
from streetvision.synthesis import ablation
from streetvision.synthesis.store import open_store

from .streets import Street, draw, store_set, street

WANTED = SyntheticSettings(back_end="local", kinds="fog,snow", count=8)


class Varied(Street):
    """A street whose settings want variations."""

    synthetic = WANTED

    @property
    def settings(self) -> Settings:
        return replace(super().settings, synthetic=self.synthetic)


@pytest.fixture
def made(tmp_path: Path) -> Varied:
    one = street(tmp_path)
    varied = Varied(one.state, one.wanted)
    varied.do(StepName.COLLECT, StepName.LABEL)
    return varied


def test_nobody_is_configured_and_that_is_said(tmp_path: Path) -> None:
    made = Street(tmp_path / "state", RetrainSettings(datasets="streets", frozen="held", mine=False))
    store_set(made.state, "streets", draw(tmp_path / "streets", range(30)))
    store_set(made.state, "held", draw(tmp_path / "held", range(1000, 1010)))
    made.do(StepName.COLLECT)
    assert made.do(StepName.SYNTHESISE) == {SETS: [], "why": "no source of synthetic pictures is configured"}


def test_kinds_that_pay_are_learned_from_beside_their_parents(made: Varied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "_margin", lambda values, risk: -1.0)  # all pay
    output = made.do(StepName.SYNTHESISE)
    assert output[SETS] == ["retrain-synthetic-fog", "retrain-synthetic-snow"]
    assert sum(output["made"].values()) == 8
    assert output["why"] == "learned from: fog, snow"
    assert "roadwork found" in output["gain_of_fog"]
    listed = ListedDataset(Path(str(made.do(StepName.DATASET)["pictures"]))).examples()
    variations = [one for one in listed if PARENT in one.tags]
    assert len(variations) == 8
    real = {one.sha256: one for one in listed if PARENT not in one.tags}
    for one in variations:
        assert (one.split, one.weight) == ("train", 0.5)
        assert real[one.tags[PARENT]].split == "train"
        assert one.label == real[one.tags[PARENT]].label


def test_kinds_that_do_not_pay_are_made_judged_and_left_out(made: Varied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "_margin", lambda values, risk: 1.0)
    output = made.do(StepName.SYNTHESISE)
    assert output[SETS] == []
    assert output["why"] == "none is learned from: no kind adds anything beyond noise"
    assert set(output["ablation"]["kinds"]) == {"fog", "snow"}
    listed = ListedDataset(Path(str(made.do(StepName.DATASET)["pictures"]))).examples()
    assert not [one for one in listed if PARENT in one.tags]
    with open_store(made.state) as store:
        assert store.stats("retrain")["ablation"]["kept"] == []


def test_nothing_that_judges_is_varied(made: Varied) -> None:
    made.do(StepName.SYNTHESISE)
    train = {one.sha256 for one in StoredDataset(dataset_folder("streets", made.state)).examples("train")}
    with open_store(made.state) as store:
        assert {one.parent for one in store.kept("retrain")} <= train


def test_a_back_end_that_is_not_there_ends_no_run(made: Varied) -> None:
    made.synthetic = SyntheticSettings(back_end="vllm-omni", url="http://127.0.0.1:1", kinds="fog", count=1)
    output = made.do(StepName.SYNTHESISE)
    assert output[SETS] == []
    assert "nothing was made: no connection to http://127.0.0.1:1" in output["why"]


def test_money_is_counted_into_the_run(made: Varied) -> None:
    ablated = {"kept": [], "why": "too few", "kinds": {}}

    def work(*_: Any) -> dict[str, Any]:
        return {"folder": "", "made": {}, "left_out": {}, "spent": 1.5, "ended": "", "ablation": ablated}

    assert made.do(StepName.SYNTHESISE, work=work)["why"] == "none is learned from: too few"
    assert made.store.spent("2026-11").money == 1.5


def test_the_operator_may_stop_it(made: Varied) -> None:
    def work(context: Context, job: str, request: Any, *rest: Any) -> dict[str, Any]:
        raise JobStopped

    context: Context = made.context(StepName.SYNTHESISE)
    with pytest.raises(Stopped):
        synthesise(context, work)  # type: ignore[arg-type]  # it takes whatever else there is


def test_the_key_reaches_the_job_and_nobody_else(made: Varied) -> None:
    from streetvision.settings.secret import Secret

    made.synthetic = replace(WANTED, url="https://example.invalid", key=Secret("hidden-key"))
    asked: list[Any] = []

    def work(context: Context, job: str, request: Any, *rest: Any) -> dict[str, Any]:
        asked.append(request)
        raise OperatorError("no: later")

    output = made.do(StepName.SYNTHESISE, work=work)
    assert asked[0]["synthetic"]["key"] == "hidden-key"
    assert "hidden-key" not in f"{output} {made.events}"
