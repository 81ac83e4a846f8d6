"""A whole run by the command, its jobs in processes of their own; killed in the midst of training, and gone on with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streetvision.training.run_folder import all_runs

from ..retrain.streets import street

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


def environment(state: Path) -> dict[str, str]:
    wanted = {
        "STREETVISION_STATE_DIR": str(state),
        "RETRAIN_DATASETS": "streets",
        "RETRAIN_FROZEN": "held",
        "RETRAIN_RECIPE": str(state / "recipe.toml"),
        "RETRAIN_MINE": "false",
        "RETRAIN_DEPLOY": "false",
        "RETRAIN_MIN_LABELS": "100",
        "RETRAIN_NICE": "0",
        "OMP_NUM_THREADS": "1",
    }
    clean = {name: text for name, text in os.environ.items() if not name.startswith("RETRAIN_")}
    return clean | wanted


def retrain(state: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "streetvision.cli", "retrain", *words, "--json"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(state), cwd=state
    )


def to_the_end(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_a_killed_run_goes_on_and_learns_what_it_would_have(tmp_path: Path) -> None:
    killed, whole = (street(tmp_path / name).state for name in ("killed", "whole"))
    process = retrain(killed, "run")
    assert process.stdout is not None
    seen = next(event for line in process.stdout if (event := json.loads(line)).get("event") == "validation")
    process.kill()
    process.communicate()
    events = to_the_end(retrain(killed, "run"))
    assert events[0] == {"event": "run", "run": events[0]["run"], "resumed": True}
    assert {event["step"] for event in events if "step" in event} == {"train", "evaluate", "publish", "shadow"}
    end = events[-1]
    assert (end["state"], end["version"]) == ("waiting", "1.1.0")
    assert end["reason"].startswith("version 1.1.0 is in the registry and does not serve")

    to_the_end(retrain(whole, "run"))
    metrics = [all_runs(state)[0].metrics() for state in (killed, whole)]
    assert metrics[0] == metrics[1]
    assert seen["at_step"] == metrics[1][0]["step"]
    assert len(all_runs(killed)) == 1
