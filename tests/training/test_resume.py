"""A run that was killed goes on to the very weights that it would have had, and a fixed seed repeats a run."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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
FORKING = """
import itertools, json, os, signal, sys
from pathlib import Path
from streetvision.training.fit import learn
from streetvision.training.pictures import gather
from streetvision.training.run_folder import RunFolder
from tests.training.pictures import drawn_set

def learn_until(path, pictures, step):
    def tell(event):
        if event["event"] == "progress" and event["step"] == step:
            os.kill(os.getpid(), signal.SIGKILL)

    drawn = gather([drawn_set(Path(pictures))])
    learn(RunFolder(Path(path)), drawn, tell, accelerator="cpu", clock=itertools.count().__next__)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        learn_until(*json.loads(line))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Forks for each run, so that torch is imported once for all of them; a run kills itself after a step."""

Kill = Callable[[RunFolder, Path, int], int]
pytestmark = pytest.mark.usefixtures("one_thread")  # as the forked runs have it


@pytest.fixture(scope="module")
def killed_after() -> Iterator[Kill]:
    """Train a run in a process that is killed after a step; its exit code."""
    pipe, environ = subprocess.PIPE, {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", FORKING], cwd=ROOT, env=environ, stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def kill(run: RunFolder, pictures: Path, step: int) -> int:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps((str(run.path), str(pictures), step)) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield kill
        process.stdin.close()
        assert process.wait(10.0) == 0


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
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, killed_after: Kill, method: str, step: int) -> None:
    unbroken = made(tmp_path / "a", RECIPES[method])
    expected = learnt(unbroken, tmp_path / "a" / "set")
    killed = made(tmp_path / "b", RECIPES[method])
    assert killed_after(killed, tmp_path / "b" / "set", step) == -9
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
