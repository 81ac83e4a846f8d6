"""Is a resumed run equal to one that nobody disturbed? Two runs over the same pictures, one killed amid its training.

`streetvision retrain run` on drawn streets; in one of the two the process is killed (SIGKILL) once half of the
training's steps are done, and the next `retrain run` goes on. Goal: the same weights, bit by bit, and so the same
metrics and verdicts. Three minutes on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import RESULTS, Row, machine, report

from streetvision.rehearsal.processes import environment_of
from streetvision.rehearsal.scale import SETTINGS, Counts
from streetvision.rehearsal.sets import STREETS, Sets, draw_sets, label
from streetvision.retrain_log.records import StepName
from streetvision.retrain_log.schema import FOLDER
from streetvision.retrain_log.store import RetrainStore

COUNTS = Counts(day=16, night=48, frozen_day=16, frozen_night=24, later=0, poisoned=0, test=0)
RECIPE = """
[tune]
method = "lora"
[optimiser]
epochs = 2
[augment]
camera = 0.0
[run]
batch = 8
log = "none"
save_minutes = 0.05
"""


def environment(folder: Path, sets: Sets) -> dict[str, str]:
    """Of a run whose state is in `folder`."""
    own = {
        "STREETVISION_STATE_DIR": str(folder),
        "SUBTENSOR_NETWORK": "mock",
        "RETRAIN_DATASETS": STREETS,
        "RETRAIN_FROZEN": str(sets.frozen),
        "RETRAIN_RECIPE": str(folder / "recipe.toml"),
        "RETRAIN_DEPLOY": "false",
        "MODEL_URL": "bundled",
    }
    return environment_of({**SETTINGS, **own})


def carry_out(environ: Mapping[str, str], *, kill: bool) -> bool:
    """`streetvision retrain run`; whether it was killed, once half of the training was done."""
    command = [sys.executable, "-m", "streetvision.cli", "retrain", "run", "--force", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ, start_new_session=True) as process:
        for line in process.stdout or ():
            if kill and half_done(json.loads(line)):
                os.killpg(process.pid, signal.SIGKILL)
                return True
    return False


def half_done(event: Mapping[str, Any]) -> bool:
    """Whether a training tells that half of its steps are done."""
    total = event.get("total_steps") or 0
    return bool(event.get("step") == StepName.TRAIN and total) and 2 * event["at_step"] >= total


def outcome(name: str, state: Path, killed: bool) -> Row:
    """How its newest run stands."""
    store = RetrainStore(state / FOLDER)
    run = store.runs()[0]
    outputs = store.outputs(run.id)
    attempts = {step.name: step.attempts for step in store.steps(run.id)}
    weights = Path(outputs[StepName.TRAIN]["candidate"]) / "model.safetensors"
    verdicts = {one.gate: one.reason for one in store.verdicts(run.id)}
    return {
        "run": name,
        "killed": str(killed),
        "attempts at the training": attempts[StepName.TRAIN],
        "ended": run.state,
        **{key: value for key, value in outputs[StepName.TRAIN]["best"].items() if isinstance(value, int | float)},
        "weights": hashlib.sha256(weights.read_bytes()).hexdigest()[:16],
        "verdicts": hashlib.sha256(json.dumps(verdicts, sort_keys=True).encode()).hexdigest()[:16],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    where, rows = machine(), list[Row]()
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        sets = Sets(Path(name) / "pictures")
        draw_sets(sets, COUNTS, given.seed)
        for number, said in enumerate(("undisturbed", "killed and resumed")):
            state = Path(name) / str(number)
            state.mkdir(mode=0o700)
            (state / "recipe.toml").write_text(RECIPE + f"seed = {given.seed}\n")
            label(state, STREETS, sets.day, sets.night)
            environ = environment(state, sets)
            killed = carry_out(environ, kill=number == 1)
            if killed:
                carry_out(environ, kill=False)
            rows.append(outcome(said, state, killed))
            report("retrain_resume", "A run that was killed amid its training", rows, where, given.results)
    if rows[1]["killed"] != "True":
        raise SystemExit("The training ended before it could be killed: nothing is shown.")
    if len({one["weights"] for one in rows}) > 1:
        raise SystemExit("The weights differ.")


if __name__ == "__main__":
    main()
