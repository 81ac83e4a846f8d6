"""`streetvision bench`: what it times and advises, as a table and as JSON; what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streetvision.cli.main import main
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.runner import order

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `streetvision bench` without extras, precisions left as they are; exit code, stdout, stderr."""
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(order, "installed", frozenset[str])
    monkeypatch.setattr("streetvision.runner.timing.WISHES", ("default",))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["streetvision", "bench", "--device", "cpu", "--seconds", "1", *arguments])
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def model(tmp_path: Path) -> str:
    config = replace(tiny_config(depth=1, width=64, version="1.2.3"), input_size=48)
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "model", config, build(config).state_dict())
    return str(tmp_path / "model")


def test_it_says_which_settings_to_use(run: Run, model: str) -> None:
    code, out, err = run("--model", model)
    assert code == 0, err
    assert out.splitlines()[0].split() == ["runner", "precision", "serves", "threads", "1,", "ms", "8,", "ms", "times"]
    assert "torch     default   float32" in out
    assert "MODEL_RUNNER=torch" in out and "MODEL_PRECISION=default" in out and "MODEL_THREADS=" in out
    assert "opening torch, precision default" in err


def test_as_json_each_candidate_and_the_advice_is_an_object(run: Run, model: str) -> None:
    code, out, _ = run("--model", model, "--json")
    *rows, advice = map(json.loads, out.splitlines())
    assert code == 0
    assert {row["kind"] for row in rows} == {"candidate"}
    assert rows[0]["served_by"]["runner"] == "torch" and rows[0]["times"] == {"1": 1.0, "8": 1.0}
    assert advice["kind"] == "recommended"
    assert (advice["runner"], advice["precision"]) == ("torch", "default")


def test_a_model_that_is_not_there_is_told_of(run: Run) -> None:
    code, out, err = run("--model", "9.9.9")
    assert (code, out) == (1, "")
    assert "9.9.9" in err
