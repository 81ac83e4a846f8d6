"""However a run ends, by Ctrl-C or by kill -9, the next one goes on and no question is paid twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fake_oracle import MODEL, FakeOracle, serving

from streetvision.labelling.store import LabellingStore

from .conftest import draw, prompt, settings

COMMAND = (sys.executable, "-c", "from streetvision.cli.main import main; main()", "label", "run")
PICTURES = 30


def start(oracle: FakeOracle, tmp_path: Path) -> subprocess.Popen[str]:
    wanted = {"URL": oracle.url, "MODEL": MODEL, "CROPS": "0", "CONCURRENCY": "4"}
    env = {**os.environ, **{f"ORACLE_{name}": value for name, value in wanted.items()}}
    env["STREETVISION_STATE_DIR"] = str(tmp_path / "state")
    command = [*COMMAND, str(tmp_path / "pictures"), "--yes"]
    return subprocess.Popen(command, env=env, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def when(oracle: FakeOracle, questions: int, process: subprocess.Popen[str], number: int) -> tuple[int, str]:
    """Send a signal once so many questions are charged; exit code and what was said."""
    limit = time.monotonic() + 60
    while oracle.charged.total() < questions:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def states(oracle: FakeOracle, tmp_path: Path) -> dict[str, int]:
    with LabellingStore(tmp_path / "state") as store:
        return store.states(prompt(settings(oracle)).asker)


def test_a_run_ends_in_order_or_at_once_and_goes_on(tmp_path: Path) -> None:
    draw(tmp_path / "pictures", PICTURES)
    with serving(delay_s=lambda: 0.05) as oracle:
        code, said = when(oracle, 6, start(oracle, tmp_path), signal.SIGINT)
        assert code == 130
        assert "questions under way are awaited" in said
        assert "run the same command again to go on" in said
        assert set(states(oracle, tmp_path)) == {"answered"}
        code, _ = when(oracle, 15, start(oracle, tmp_path), signal.SIGKILL)
        assert code == -signal.SIGKILL
        assert states(oracle, tmp_path).get("open", 0) > 0
        process = start(oracle, tmp_path)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "pictures done" in out
    assert oracle.double == 0
    found = states(oracle, tmp_path)
    assert found["answered"] + found["lost"] == PICTURES
    assert 1 <= found["lost"] <= 4


def test_a_service_manager_ends_it_in_order(tmp_path: Path) -> None:
    draw(tmp_path / "pictures", PICTURES)
    with serving(delay_s=lambda: 0.05) as oracle:
        assert when(oracle, 3, start(oracle, tmp_path), signal.SIGTERM)[0] == 130
        assert set(states(oracle, tmp_path)) == {"answered"}
