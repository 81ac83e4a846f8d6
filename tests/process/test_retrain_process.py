"""Retraining in processes of its own: a run that is stopped from outside, a service that is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streetvision.retrain_log.reader import RetrainReader
from streetvision.retrain_log.schema import FOLDER

from ..retrain.fakes import needs_schedule

ROOT = Path(__file__).parents[2]
WAITING_RUN = """
import sys, time
from pathlib import Path
from streetvision.retrain import facts
from streetvision.retrain.step import Clock
from streetvision.retrain_log.records import StepName
from tests.retrain.fakes import FakeTime, World

class Time(FakeTime):
    clock = property(lambda self: Clock(self.now, time.monotonic, time.sleep))

def waits(context):
    print("waiting", flush=True)
    context.wait(600)

facts.NEEDED = ()
world = World(Path(sys.argv[1]), time=Time())
world.steps[StepName.CANARY] = waits
world.run()
"""

pytestmark = pytest.mark.process


def environment(state: Path) -> dict[str, str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("RETRAIN_", "MINER_"))}
    return clean | {"STREETVISION_STATE_DIR": str(state), "PYTHONPATH": str(ROOT)}


@contextmanager
def running(*command: str, state: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(state),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def retrain(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streetvision.cli", "retrain", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment(state),
    )


def test_a_run_in_another_process_is_seen_kept_alone_and_stopped(tmp_path: Path) -> None:
    with running("-c", WAITING_RUN, str(tmp_path), state=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        assert json.loads(retrain(tmp_path, "history", "--json").stdout)["state"] == "running"
        with running("-c", WAITING_RUN, str(tmp_path), state=tmp_path) as second:
            _, said = second.communicate()
        assert second.returncode == 1
        assert f"process {process.pid} works on it" in said
        stopped = retrain(tmp_path, "stop", "--json")
        assert (stopped.returncode, json.loads(stopped.stdout)["state"]) == (0, "stopped"), stopped.stderr
        assert process.wait(10) == 0


@needs_schedule
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_service_tells_its_next_run_keeps_a_second_one_out_and_ends_in_order(
    tmp_path: Path, ending: signal.Signals
) -> None:
    with running("-m", "streetvision.cli", "retrain", "serve", state=tmp_path) as service:
        assert service.stderr is not None
        assert "next run at" in service.stderr.readline()
        assert RetrainReader(tmp_path / FOLDER).next_run().endswith("02:00:00+00:00")
        second = retrain(tmp_path, "serve")
        assert (second.returncode, "one is enough" in second.stderr) == (1, True)
        service.send_signal(ending)
        assert service.wait(10) == 0
        assert service.stderr.read() == ""
