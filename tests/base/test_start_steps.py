"""A starting miner tells its step from the first second on, and a start that is over tells nothing."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from loguru import logger

from streetvision.base.start_steps import FILE, Starting, StartSteps, starting_in
from streetvision.errors import OperatorError


def test_each_step_is_told_with_its_time(tmp_path: Path) -> None:
    times = iter((100.0, 101.0, 105.0))
    steps = StartSteps(tmp_path / "state", clock=lambda: next(times))
    assert starting_in(tmp_path / "state") is None
    steps.begin("loading libraries")
    assert starting_in(tmp_path / "state") == Starting("loading libraries", 101.0, 100.0, os.getpid())
    steps.begin("reading")
    found = starting_in(tmp_path / "state")
    assert found == Starting("reading", 105.0, 100.0, os.getpid())
    assert found.words(110.0) == f"reading, for 5 s (process {os.getpid()}, started 10 s ago)"
    steps.close()
    steps.close()
    assert steps.current is None
    assert starting_in(tmp_path / "state") is None
    assert list((tmp_path / "state").iterdir()) == []


def test_a_killed_start_leaves_no_lie(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from streetvision.base.start_steps import StartSteps\n"
        "StartSteps(Path(sys.argv[1])).begin('loading'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], stderr=subprocess.DEVNULL, check=False)
    assert done.returncode == -9
    assert json.loads((tmp_path / FILE).read_bytes())["step"] == "loading"
    assert starting_in(tmp_path) is None
    steps = StartSteps(tmp_path)
    steps.begin("again")
    found = starting_in(tmp_path)
    assert found is not None
    assert found.step == "again"
    steps.close()


def test_two_starts_in_one_folder(tmp_path: Path) -> None:
    steps = StartSteps(tmp_path)
    steps.begin("first")
    said: list[str] = []
    handler = logger.add(said.append)
    with pytest.raises(OperatorError, match=r"another miner is starting in .*: stop it, or name another state folder"):
        StartSteps(tmp_path).begin("second")
    logger.remove(handler)
    assert said == []
    found = starting_in(tmp_path)
    assert found is not None
    assert found.step == "first"
    steps.close()


def test_a_readers_glance_does_not_refuse_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = os.open(tmp_path / FILE, os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_SH)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            fcntl.flock(file, fcntl.LOCK_UN)

    monkeypatch.setattr("streetvision.base.start_steps.time.sleep", pause)
    steps = StartSteps(tmp_path)
    steps.begin("loading")
    assert len(pauses) == 3
    steps.close()
    os.close(file)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"step": 1}',
        b"\xff" * 600,
        b"[" * 512,
        b'{"step":"a","since":1%s,"began":1,"pid":1}' % (b"0" * 400),
    ],
)
def test_a_line_that_cannot_be_read_is_a_start_all_the_same(tmp_path: Path, text: bytes) -> None:
    file = os.open(tmp_path / FILE, os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.pwrite(file, text, 0)
    found = starting_in(tmp_path)
    assert found is not None
    assert found.step == "at its first step"
    os.close(file)


def test_a_full_disk_does_not_end_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("streetvision.base.start_steps.os.pwrite", full)
    steps = StartSteps(tmp_path)
    steps.begin("loading")
    assert steps.current is not None
    steps.close()


def test_a_folder_that_takes_no_file_does_not_end_the_start(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    steps = StartSteps(tmp_path)
    steps.begin("loading")
    assert steps.current is not None
    steps.close()
    assert starting_in(tmp_path) is None


def test_a_file_that_cannot_be_removed_does_not_end_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    steps = StartSteps(tmp_path)
    steps.begin("loading")
    monkeypatch.setattr(Path, "unlink", refused)
    steps.close()
    assert starting_in(tmp_path) is None


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError, match=r"cannot be made .*: name another with --state_dir"):
        StartSteps(tmp_path / "file" / "state").begin("loading")
