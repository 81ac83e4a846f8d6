"""The doctor beside the real miner, and after it has gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

HOOK = "https://127.0.0.1:9/very-secret-part"


def doctor(folder: Path, *flags: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the report, stderr."""
    environ = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "TMPDIR"}} | {
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "ALERTS_WEBHOOK_URL": HOOK,
    }
    code = "from streetvision.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--json", "--subtensor.network", "mock", *flags],
        capture_output=True, text=True, env=environ, cwd=folder, check=False, timeout=100,
    )  # fmt: skip
    assert "very-secret-part" not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_with_a_running_miner_and_without_it(
    start_miner: Callable[..., Any], tmp_path: Path, port: int, checkpoint: Path, caller: Any, jpeg: bytes
) -> None:
    serve = ("--axon.port", str(port), "--axon.ip", "127.0.0.1", "--state_dir", str(tmp_path / "state"))
    flags = (*serve, "--model", str(checkpoint))
    miner = start_miner(*serve)
    miner.wait_for("ready")
    assert caller("Bob").ask(port, jpeg)[0] == 200

    code, report, err = doctor(tmp_path, *flags)
    marks = {check["name"]: check["mark"] for check in report["checks"]}
    evidence = {check["name"]: check["evidence"] for check in report["checks"]}
    assert (code, report["ok"], err) == (0, True, "")
    assert f"process {miner.process.pid}" in evidence["miner"]
    for name in ("settings", "versions", "device", "hotkey", "chain", "registered", "port", "model", "log"):
        assert marks[name] == "ok", evidence[name]
    assert marks["endpoint"] in ("ok", "skipped")  # the snapshot may be older than the publication
    assert "a validator's request arrived" in evidence["reachable"]
    ruled_out = [ruled["cause"] for ruled in report["why_not_earning"]["ruled_out"]]
    assert ruled_out[:2] == ["halted", "not_registered"]

    assert miner.terminate()[0] == 0
    code, report, _ = doctor(tmp_path, *flags)
    marks = {check["name"]: check["mark"] for check in report["checks"]}
    assert (code, marks["miner"], marks["port"], marks["log"]) == (0, "skipped", "ok", "ok")
    assert report["why_not_earning"]["title"] == "no miner is running here"


def test_a_failure_is_in_the_exit_code(tmp_path: Path) -> None:
    hotkey = tmp_path / ".bittensor" / "wallets" / "broken" / "hotkeys" / "default"
    hotkey.parent.mkdir(parents=True)
    hotkey.write_text("{}")
    code, report, err = doctor(tmp_path, "--wallet.name", "broken")
    failed = [check for check in report["checks"] if check["mark"] == "failure"]
    assert (code, report["ok"], err) == (1, False, "")
    assert [check["name"] for check in failed] == ["hotkey"]
    assert "btcli wallet regen-hotkey --wallet broken" in failed[0]["remedy"]


def test_a_terminal_without_check_marks_is_no_trouble(tmp_path: Path) -> None:
    code = "from streetvision.cli.main import main; main()"
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--axon.port", "none"],
        capture_output=True, encoding="latin-1", env=environ, cwd=tmp_path, check=False, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert "? failure settings" in done.stdout


def test_wrong_settings_are_a_failure_too(tmp_path: Path) -> None:
    code, report, _ = doctor(tmp_path, "--axon.port", "none")
    assert code == 1
    assert report["checks"][0]["evidence"] == "--axon.port: 'none' is not a whole number"
