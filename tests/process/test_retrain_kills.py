"""Retraining beside a running miner, killed (SIGKILL) at some events or at all: it is promoted, no request is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from streetvision.registry.registry import REGISTRY_FOLDER, Registry
from streetvision.retrain_log.records import RunState, StepName
from streetvision.retrain_log.schema import FOLDER
from streetvision.retrain_log.store import RetrainStore

from ..retrain.streets import RECIPE, draw, store_set, tiny_model

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

EVERY = (
    (StepName.COLLECT, "step"),
    (StepName.LABEL, "step"),
    (StepName.SYNTHESISE, "step"),
    (StepName.DATASET, "step"),
    (StepName.DATASET, "progress"),
    (StepName.DATASET, "step_done"),
    (StepName.TRAIN, "step"),
    (StepName.TRAIN, "training"),
    (StepName.TRAIN, "validation"),
    (StepName.TRAIN, "step_done"),
    (StepName.EVALUATE, "step"),
    (StepName.EVALUATE, "progress"),
    (StepName.EVALUATE, "step_done"),
    (StepName.PUBLISH, "step"),
    (StepName.PUBLISH, "step_done"),
    (StepName.SHADOW, "step"),
    (StepName.SHADOW, "miner"),
    (StepName.SHADOW, "step_done"),
    (StepName.CANARY, "step"),
    (StepName.PROMOTE, "step"),
)
"""A step, and its event at which the run is killed; each step fewer times than it takes to give the run up."""
FEW = ((StepName.TRAIN, "validation"), (StepName.CANARY, "step"))
KILLS = EVERY if os.environ.get("EVERY_KILL") else FEW
"""`make test-kills` does all twenty."""
EASY = {
    "RETRAIN_DATASETS": "streets",
    "RETRAIN_FROZEN": "held",
    "RETRAIN_MINE": "false",
    "RETRAIN_MIN_LABELS": "100",
    "RETRAIN_MIN_AGREEMENT": "0",
    "RETRAIN_SHADOW_MINUTES": "0.05",
    "RETRAIN_CANARY_SHARE": "0.5",
    "RETRAIN_DEVICE": "cpu",
    "RETRAIN_NICE": "0",
    "ROLLOUT_MIN_AGREEMENT": "0",
    "ROLLOUT_MAX_SHIFT": "1",
    "ROLLOUT_MAX_P99_RATIO": "1000",
    "ROLLOUT_MIN_SAMPLES": "20",
}
"""A model that has learned nothing serves: what it says of a challenge is no measure of the next one."""


def environment(state: Path) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    root = str(Path(__file__).parents[2])
    own = {"STREETVISION_STATE_DIR": str(state), "RETRAIN_RECIPE": str(state / "recipe.toml"), "PYTHONPATH": root}
    return kept | EASY | own | {"OMP_NUM_THREADS": "1"}


def run(state: Path, *kill_at: str) -> Mapping[str, Any]:
    """`retrain run`, killed when it tells of this step and event; the last event of all."""
    command = [sys.executable, "-m", "streetvision.cli", "retrain", "run", "--json"]
    event: dict[str, Any] = {}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(state), cwd=state
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            event = json.loads(line)
            if (event.get("step"), event["event"]) == kill_at:
                process.kill()
        error = process.stderr.read()
    assert process.returncode == (-9 if kill_at else 0), f"{event} {error}"
    return event


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The miner's state folder with two sets and a model to begin with."""
    folder = tmp_path / "state"
    store_set(folder, "streets", draw(tmp_path / "streets", range(160)))
    store_set(folder, "held", draw(tmp_path / "held", range(1000, 1080)))
    (folder / "recipe.toml").write_text(RECIPE)
    Registry(folder / REGISTRY_FOLDER).add_folder(tiny_model(tmp_path / "m", "1.0.0"), source="", version="1.0.0")
    return folder


def test_a_run_that_is_killed_again_and_again_is_promoted_and_no_request_is_lost(
    state: Path, serve: Callable[..., Any], load_on: Any, port: int
) -> None:
    rollout = [(f"--{name.lower().replace('_', '.', 1)}", EASY[name]) for name in EASY if name.startswith("ROLLOUT_")]
    miner = serve(*(word for pair in rollout for word in pair), model="1.0.0")
    with load_on(port, pause_s=0.05) as load:
        for step, event in KILLS:
            run(state, step, event)
        end = run(state)
        load.wait_for(20)
    assert (end["event"], end["state"], end["version"]) == ("end", "promoted", "1.1.0"), end
    assert set(load.statuses) == {200}
    assert miner.models()["active"]["version"] == "1.1.0"
    store = RetrainStore(state / FOLDER)
    (record,) = store.runs()
    assert record.state is RunState.PROMOTED
    begun_again = sum(step.attempts - 1 for step in store.steps(record.id))
    assert begun_again == sum(event != "step_done" for _, event in KILLS)
    assert miner.terminate()[0] == 0
