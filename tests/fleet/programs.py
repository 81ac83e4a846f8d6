"""Small programs in place of miners: they hold the state folder as a miner does, and end as they are told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HOLDS = """
import fcntl, os, signal, sys, time
lock = os.open("miner.lock", os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("2026 | INFO    | ready", flush=True)
time.sleep(60)
"""
FAILS = """
import sys
sys.exit("2026 | ERROR   | Port 8091 is in use.")
"""
STARTS = """
import fcntl, json, os, time
file = os.open("starting.json", os.O_RDWR | os.O_CREAT)
os.write(file, json.dumps({"step": "loading", "since": 1, "began": 1, "pid": os.getpid()}).encode().ljust(512))
fcntl.flock(file, fcntl.LOCK_EX)
time.sleep(60)
"""
DEAF = HOLDS.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")


def run_instead(monkeypatch: pytest.MonkeyPatch, program: Callable[[], str]) -> None:
    """Let fleets start what `program` says at each start."""

    def command(handed: Path) -> list[str]:
        return [sys.executable, "-S", "-c", program()]

    monkeypatch.setattr("streetvision.fleet.running.command", command)
