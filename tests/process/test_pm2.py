"""pm2 from npm keeps the real process: starts it, starts it again after kill -9, and stops it in order."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..retrain.fakes import needs_schedule

ROOT = Path(__file__).parents[2]
ECOSYSTEM = ROOT / "scripts" / "ecosystem.config.js"
RETRAIN_ECOSYSTEM = ROOT / "scripts" / "retrain.config.js"
INSTALLED = ROOT / ".envs" / "pm2" / "node_modules" / ".bin" / "pm2"
PATIENCE_S = 90.0

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


class Pm2:
    """A daemon of its own, in a folder of its own, that ends with the test."""

    def __init__(self, program: str, folder: Path, settings: dict[str, str]) -> None:
        self._program, self._folder = program, folder
        (folder / "miner.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PM2_HOME": str(folder / "pm2"),
            "MINER_ENV": str(folder / "miner.env"),
            "STREETVISION_LOGS": str(folder / "logs"),
            "STREETVISION_PYTHON": sys.executable,
            "OMP_NUM_THREADS": "1",
        }

    def __call__(self, *words: str) -> str:
        command = [self._program, *words]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=self._environ, cwd=self._folder, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def miner(self) -> dict[str, Any]:
        out = self("jlist")
        (found,) = json.loads(out[out.index("[") :])
        return dict(found)

    def log(self, name: str = "streetvision") -> str:
        file = self._folder / "logs" / f"{name}.log"
        return file.read_text() if file.exists() else ""

    def wait_for(self, start: str, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            lines = [line for line in self.log().split("\n")[:-1] if line.startswith("{")]
            if sum(str(json.loads(line)["message"]).startswith(start) for line in lines) >= times:
                return
            time.sleep(0.1)
        raise AssertionError(f"no {start!r} ({times}) in the log\n{self.log()}")


@pytest.fixture
def pm2(tmp_path: Path, checkpoint: Path, port: int) -> Iterator[Pm2]:
    program = str(INSTALLED) if INSTALLED.exists() else shutil.which("pm2")
    if program is None or shutil.which("node") is None:
        pytest.skip("pm2 is not installed: make pm2 (wants npm)")
    settings = {
        "SUBTENSOR_NETWORK": "mock", "MINER_AXON_PORT": str(port), "BT_AXON_IP": "127.0.0.1", "LOGGING_JSON": "true",
        "STREETVISION_STATE_DIR": str(tmp_path / "state"), "MODEL_URL": str(checkpoint), "MODEL_COMPILE": "false",
        "MODEL_THREADS": "1",
    }  # fmt: skip
    manager = Pm2(program, tmp_path, settings)
    yield manager
    manager("kill")


def _ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_starts_restarts_and_stops(pm2: Pm2, port: int, caller: Any, jpeg: bytes) -> None:
    pm2("start", str(ECOSYSTEM))
    pm2.wait_for("ready: UID 4")
    first = pm2.miner()["pid"]
    assert caller("Bob").ask(port, jpeg)[0] == 200

    os.kill(first, signal.SIGKILL)
    pm2.wait_for("ready: UID 4", times=2)
    miner = pm2.miner()
    assert miner["pid"] != first
    assert miner["pm2_env"]["status"] == "online"
    assert miner["pm2_env"]["restart_time"] == 1
    assert caller("Bob").ask(port, jpeg)[0] == 200

    pm2("stop", "streetvision")
    assert pm2.miner()["pm2_env"]["status"] == "stopped"
    assert pm2.miner()["pm2_env"]["exit_code"] == 0
    assert _ended(miner["pid"])
    assert json.loads(pm2.log().splitlines()[-1])["message"] == "stopped"
    assert not (pm2._folder / "state" / "mock.sock").exists()


@needs_schedule
def test_keeps_the_schedule_of_retraining(pm2: Pm2) -> None:
    def starts() -> int:
        return pm2.log("streetvision-retrain").count("next run at")

    def wait_for(count: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while starts() < count:
            assert time.monotonic() < deadline, pm2.log("streetvision-retrain")
            time.sleep(0.1)

    pm2("start", str(RETRAIN_ECOSYSTEM))
    wait_for(1)
    os.kill(pm2.miner()["pid"], signal.SIGKILL)
    wait_for(2)
    pm2("stop", "streetvision-retrain")
    assert pm2.miner()["pm2_env"]["exit_code"] == 0
