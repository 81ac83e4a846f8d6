"""Why a miner ended, as its log and its exit code tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streetvision.fleet.last_words import LONGEST, TAIL, last_error, tail, why_ended

TEXT = """2026-11-30 21:57:00.005 | INFO    | starting: loading libraries
2026-11-30 21:57:00.006 | ERROR   | Port 8091 is in use: choose another --axon.port.
2026-11-30 21:57:00.007 | INFO    | stopped
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "miner.log"
    file.write_text(TEXT)
    return file


def test_the_last_error_is_quoted(log: Path) -> None:
    assert why_ended(1, log) == "exit code 1: Port 8091 is in use: choose another --axon.port"
    assert why_ended(None, log) == "it ended: Port 8091 is in use: choose another --axon.port"


def test_json_lines_are_read_too(log: Path) -> None:
    lines = [{"level": "ERROR", "message": "no wallet"}, {"level": "INFO", "message": "bye"}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"level": 3\n')
    assert last_error(log) == "no wallet"


def test_without_an_error_the_last_line_speaks(log: Path) -> None:
    log.write_text("2026 | INFO    | starting\n")
    assert why_ended(None, log) == "it ended"
    log.write_text("2026 | INFO    | starting\nFatal Python error: Segmentation fault\n\n")
    assert why_ended(70, log) == "exit code 70: Fatal Python error: Segmentation fault"


def test_a_signal_needs_no_words(log: Path) -> None:
    assert why_ended(-9, log) == "killed by SIGKILL"
    assert why_ended(-63, log) == "killed by signal 63"


def test_an_earlier_miner_is_not_quoted(log: Path) -> None:
    assert why_ended(1, log, since=log.stat().st_size) == "exit code 1"
    assert "Port 8091" in why_ended(1, log, since=10**9), "the log was emptied meanwhile"


def test_a_log_that_is_gone_strange_or_endless(log: Path, tmp_path: Path) -> None:
    assert why_ended(1, tmp_path / "nothing") == "exit code 1"
    log.write_bytes(b"\xff\xfe" * TAIL + b"\n")
    assert len(last_error(log)) <= LONGEST
    assert len(tail(log)) <= TAIL
