"""Two processes learn what one does with the same pictures a step, and tell how they ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from streetvision.errors import OperatorError
from streetvision.sources.opening import open_dataset
from streetvision.training import worker
from streetvision.training.keeping import Stopped
from streetvision.training.launching import raise_failure
from streetvision.training.pictures import gather
from streetvision.training.run_folder import STOPPED
from streetvision.training.running import train

from .pictures import small_run, stored_set
from .test_fit import around, quick

PLAIN = {"validator": 0.0, "native": 1.0, "sideways": 0.0, "least": 1.0, "camera": 0.0}
"""Leaves mirroring alone to chance, which pictures that are their own mirror image do not show."""


def curve(
    state: Path, devices: int, told: list[dict[str, Any]] | None = None, *, strategy: str = "auto", ema: float = 0.5
) -> list[dict[str, Any]]:
    stored_set(state, "works")
    pictures = gather([open_dataset("works", state=state)])
    how = {"batch": 8 // devices, "devices": devices, "strategy": strategy}
    run = small_run(
        state, quick("full", augment=PLAIN, run=how, optimiser={"epochs": 3, "lr": 1e-3, "ema": ema}), pictures
    )
    train(run, pictures, around(state, told))
    return run.metrics()


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_follow_the_curve_of_one(tmp_path: Path, strategy: str) -> None:
    told: list[dict[str, Any]] = []
    ema = 0.5 if strategy == "ddp" else 0.0
    one = curve(tmp_path / "one", 1, ema=ema)
    two = curve(tmp_path / "two", 2, told, strategy=strategy, ema=ema)
    assert [line["step"] for line in two] == [line["step"] for line in one]
    assert [line["count"] for line in two] == [line["count"] for line in one]
    for name in ("nll", "auc", "accuracy"):
        assert [line[name] for line in two] == pytest.approx([line[name] for line in one], abs=0.01)
    assert one[0]["nll"] - one[-1]["nll"] > 0.02
    assert {"progress", "validation"} <= {event["event"] for event in told}


def learning(told: list[dict[str, Any]]) -> bool:
    return any(event["event"] == "progress" for event in told)


def test_processes_that_are_asked_to_stop_can_be_resumed(tmp_path: Path) -> None:
    stored_set(tmp_path, "works")
    pictures = gather([open_dataset("works", state=tmp_path)])
    how = {"batch": 4, "devices": 2, "strategy": "fsdp"}
    run = small_run(tmp_path, quick("full", run=how, optimiser={"epochs": 1000, "ema": 0.0}), pictures)
    reached = []
    for _ in range(2):
        told: list[dict[str, Any]] = []
        with pytest.raises(Stopped, match="stopped after step"):
            train(run, pictures, around(tmp_path, told, stop=lambda told=told: learning(told)))
        assert run.record().state == STOPPED
        reached.append(torch.load(run.last, weights_only=True)["global_step"])
    assert 0 < reached[0] < reached[1]
    names = torch.load(run.last, weights_only=True)["state_dict"].keys()
    assert "net.head.fc.weight" in names
    assert not [name for name in names if "fsdp" in name]


def test_a_process_that_fails_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored_set(tmp_path, "works")
    pictures = gather([open_dataset("works", state=tmp_path)])
    run = small_run(tmp_path, quick("full"), pictures)
    (run.start / "model.safetensors").unlink()
    assert worker.main(run.path) == 1
    said = json.loads(capsys.readouterr().out)
    with pytest.raises(OperatorError, match=r"start has no model\.safetensors"):
        raise_failure(1, [said], [])


def test_a_process_that_dies_is_told_with_its_last_error() -> None:
    with pytest.raises(OperatorError, match=r"ended with code 1 \(ValueError: odd\): resume"):
        raise_failure(1, [], ["Traceback\n", "ValueError: odd\n", "and more\n"])
    raise_failure(0, [], ["UserError in a name"])
