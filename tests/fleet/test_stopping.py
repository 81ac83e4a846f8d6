"""`fleet down`: the keeper first, then what an earlier one has left; nothing behind systemd's back."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streetvision.errors import OperatorError
from streetvision.fleet import stopping
from streetvision.fleet.asking import keeper_of
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.running import holder
from streetvision.fleet.stopping import stop_fleet
from streetvision.fleet.units import unit_of

from .programs import DEAF, HOLDS

Begin = Callable[..., int]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Start a program in a folder, and wait until it holds the lock."""
    running: list[subprocess.Popen[str]] = []

    def start(folder: Path, program: str = HOLDS, lock: str = "miner.lock") -> int:
        folder.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-S", "-c", program.replace("miner.lock", lock)]
        process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process.pid

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_the_keeper_and_what_was_left_running_are_stopped(fleet: Fleet, begin: Begin) -> None:
    begin(fleet.state_dir, lock="fleet.lock")
    begin(fleet.members[1].folder)
    said: list[str] = []
    assert stop_fleet(fleet, said.append) == ["the fleet", "hot2"]
    assert len(said) == 2
    assert keeper_of(fleet) is None
    assert holder(fleet.members[1]) is None
    assert stop_fleet(fleet, said.append) == []


def test_one_that_does_not_end_is_told(fleet: Fleet, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "MINER_S", 0.2)
    pid = begin(fleet.members[0].folder, DEAF)
    started = time.monotonic()
    with pytest.raises(OperatorError, match=rf"hot1 \(process {pid}\) does not end: .*`kill -9 {pid}` ends it"):
        stop_fleet(fleet, lambda _: None)
    assert time.monotonic() - started < 10


def test_what_systemd_keeps_is_stopped_there(fleet: Fleet, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = begin(fleet.members[0].folder)
    monkeypatch.setattr(stopping, "unit_of", lambda _: "streetvision@hot1.service")
    with pytest.raises(OperatorError, match="systemd keeps hot1: stop it with `systemctl stop streetvision@hot1`"):
        stop_fleet(fleet, lambda _: None)
    assert holder(fleet.members[0]) == pid


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/system-streetvision.slice/streetvision@hot1.service\n", "streetvision@hot1.service"),
        ("0::/system.slice/streetvision-fleet.service/x\n", "streetvision-fleet.service"),
        ("0::/user.slice/user-0.slice/session-3.scope\n", None),
        ("0::/system.slice/ssh.service\n", None),
        ("", None),
    ],
)
def test_the_unit_of_a_process(tmp_path: Path, text: str, unit: str | None) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(text)
    assert unit_of(7, tmp_path) == unit
    assert unit_of(8, tmp_path) is None
