"""A run survives whatever ends its process or fills its disk."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from streetvision.errors import OperatorError
from streetvision.retrain.step import Context, Output
from streetvision.retrain_log.records import RunState, StepName
from streetvision.retrain_log.schema import FOLDER
from streetvision.retrain_log.store import RetrainStore

from .fakes import World, marking

POINTS = [f"{name}:{when}" for name in StepName for when in ("marked", "done")]


def test_a_run_that_is_killed_everywhere_is_one_run_and_ends_as_any_other(tmp_path: Path) -> None:
    script = [sys.executable, "-m", "tests.retrain.killed_runs", str(tmp_path), *POINTS]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [*(f"{point} -9" for point in POINTS), " 0"]
    store = RetrainStore(tmp_path / FOLDER)
    (run,) = store.runs()
    assert (run.state, run.version, run.fingerprint) == (RunState.PROMOTED, "1.0.1", "ab12")
    assert [step.attempts for step in store.steps(run.id)] == [2] * len(StepName)
    marks = Counter((store.folder / "runs" / run.id / "marks").read_text().split())
    assert marks == dict.fromkeys(map(str, StepName), 2), "a step that is done is not done again"
    assert store.process() is None


@pytest.mark.parametrize("name", StepName)
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_space(small_disk: Path, name: StepName) -> None:
    world, ballast = World(small_disk), small_disk / "ballast"

    def fills(context: Context) -> Output:
        with ballast.open("wb", buffering=0) as file:
            while file.write(b"\0" * 4096) == 4096:
                pass
        raise AssertionError("the disk never filled")

    world.steps[name] = fills
    with pytest.raises(OperatorError, match="the disk is full: free some space"):
        world.run()
    left = world.store.latest()
    assert left is not None
    assert left.state is RunState.RUNNING
    ballast.unlink()
    world.steps[name] = marking(name)
    run = world.run().run
    assert run is not None
    assert (run.id, run.state) == (left.id, RunState.PROMOTED)
    assert world.marks() == [str(step) for step in StepName]
