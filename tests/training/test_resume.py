"""A run that was killed goes on to the very weights that it would have had, and a fixed seed repeats a run."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from streetvision.training.fit import learn
from streetvision.training.pictures import gather
from streetvision.training.recipe import Recipe
from streetvision.training.run_folder import RunFolder

from .pictures import drawn_set, small_run
from .test_fit import quick

ROOT = Path(__file__).parents[2]
KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from streetvision.training.fit import learn
from streetvision.training.pictures import gather
from streetvision.training.run_folder import RunFolder
from tests.training.pictures import drawn_set

def tell(event):
    if event["event"] == "progress" and event["step"] == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

pictures = gather([drawn_set(Path(sys.argv[2]))])
learn(RunFolder(Path(sys.argv[1])), pictures, tell, accelerator="cpu", clock=itertools.count().__next__)
"""


def told(event: dict[str, Any]) -> None:
    """Nobody listens."""


def learnt(run: RunFolder, folder: Path) -> dict[str, torch.Tensor]:
    """The best weights, their answers, and the last checkpoint's weights after learning to the end."""
    learn(run, gather([drawn_set(folder)]), told, accelerator="cpu", clock=itertools.count().__next__)
    last = torch.load(run.last, weights_only=True)
    found: dict[str, torch.Tensor] = load_file(run.best) | last["state_dict"]
    for state in last["callbacks"].values():
        found |= {f"average.{name}": value for name, value in state.get("average", {}).items()}
    return found


def made(place: Path, chosen: Recipe) -> RunFolder:
    return small_run(place, chosen, gather([drawn_set(place / "set")]))


RECIPES = {
    "full": quick(
        "full", loss={"mixup": 0.4, "cutmix": 0.4}, optimiser={"epochs": 3}, run={"save_minutes": 0.0, "accumulate": 2}
    ),
    "lora": quick("lora", optimiser={"epochs": 2, "kind": "muon"}, run={"save_minutes": 0.0, "batch": 4}),
    "head": quick("head", optimiser={"epochs": 3}, run={"save_minutes": 0.0}),
}
"""Epochs of 2 (3 batches, two a step), 6 and 3 steps."""


@pytest.mark.parametrize(("method", "step"), [("full", 1), ("full", 2), ("lora", 4), ("head", 5)])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, method: str, step: int) -> None:
    unbroken = made(tmp_path / "a", RECIPES[method])
    expected = learnt(unbroken, tmp_path / "a" / "set")
    killed = made(tmp_path / "b", RECIPES[method])
    command = [sys.executable, "-c", KILLED, str(killed.path), str(tmp_path / "b" / "set"), str(step)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert torch.load(killed.last, weights_only=True)["global_step"] == (1 if method == "full" else step)
    found = learnt(killed, tmp_path / "b" / "set")
    assert found.keys() == expected.keys()
    differing = [name for name in expected if not torch.equal(found[name], expected[name])]
    assert not differing
    assert killed.metrics() == unbroken.metrics()


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    runs = [made(tmp_path / name, quick("full", run={"seed": seed})) for name, seed in (("a", 0), ("b", 1))]
    weights = [learnt(run, run.path.parents[1] / "set")["net.head.fc.weight"] for run in runs]
    assert not torch.equal(*weights)
