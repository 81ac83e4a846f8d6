"""A writer killed at any moment: the log opens, has lost a second at most, and its rows tell the truth."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streetvision.prediction_log.database import LogDatabase
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogRow
from streetvision.prediction_log.schema import DATABASE
from streetvision.prediction_log.upkeep import Limits, Upkeep


@pytest.fixture
def writer() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).with_name("crash_writer.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(10) == 0


def run_and_kill(process: subprocess.Popen[str], plan: dict[str, Any], seconds: float) -> float:
    """One round; the moment of its death."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(plan) + "\n")
    process.stdin.flush()
    pid = int(process.stdout.readline())
    try:
        time.sleep(seconds)
    finally:
        died = time.monotonic()
        os.kill(pid, signal.SIGKILL)
    assert process.stdout.readline() == "ended\n"
    return died


def check_rows(folder: Path) -> list[LogRow]:
    """Before any writer has had the chance to repair anything."""
    with LogReader(folder) as reader:
        rows = list(reader.rows(embeddings=True))
        for row in {row.sha256: row for row in rows if row.image == "stored"}.values():
            path = reader.image_path(row.sha256)
            assert path is not None, row
            assert hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256
    assert [row.id for row in rows] == list(range(1, len(rows) + 1))
    assert all(row.embedding is not None and row.embedding.shape == (64,) for row in rows)
    return rows


def check_files(folder: Path, budget: int) -> None:
    """After opening: sound, within the budget, nothing half written, every file accounted for."""
    database = LogDatabase(folder)
    upkeep = Upkeep(database, Limits(max_bytes=budget, max_days=1.0))
    while not upkeep.checked:
        gone, _ = upkeep.check_files()
        assert gone == 0
    upkeep.make_room()
    assert database.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    files = [path for path in (folder / "images").rglob("*") if path.is_file()]
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in files)
    assert sum(path.stat().st_size for path in files) == database.stored_bytes <= budget
    database.close()


def test_whenever_it_is_killed_the_log_holds(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    folder, rng, budget = tmp_path / "log", random.Random(72), 400_000
    states = set()
    for _ in range(12):
        plan = {"folder": str(folder), "journal": str(tmp_path / "j"), "max_bytes": budget, "tick_s": 0.005}
        run_and_kill(writer, plan, 0.05 + 0.4 * rng.random())
        states |= {row.image for row in check_rows(folder)}
        check_files(folder, budget)
    assert states == {"stored", "evicted"}


def test_no_more_than_the_last_second_is_lost(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    folder, journal = tmp_path / "log", tmp_path / "journal"
    plan = {"folder": str(folder), "journal": str(journal), "max_bytes": 2**30, "tick_s": 0.2}
    plan |= {"burst": 4, "rest_s": 0.1}  # what a machine that runs tests can write
    died = run_and_kill(writer, plan, 2.0)
    handed_over = [line.split() for line in journal.read_text().splitlines()]
    due = {int(number) for number, moment in handed_over if float(moment) < died - 1.0}
    assert due
    assert due <= {row.uid for row in check_rows(folder)}


def test_what_a_killed_writer_left_in_the_write_ahead_log_is_there(
    tmp_path: Path, writer: subprocess.Popen[str]
) -> None:
    folder = tmp_path / "log"
    plan = {"folder": str(folder), "journal": str(tmp_path / "j"), "max_bytes": 2**30, "tick_s": 0.0}
    before: list[LogRow] = []
    for seconds in (0.4, 4.0, 20.0):  # a busy machine may not get to its first row sooner
        if not before:
            run_and_kill(writer, plan, seconds)
            before = check_rows(folder)
    assert before
    assert (folder / f"{DATABASE}-wal").stat().st_size > 0  # nobody closed it
    database = sqlite3.connect(folder / DATABASE)
    assert database.execute("SELECT count(*) FROM requests").fetchone() == (len(before),)
    database.close()
    check_files(folder, 2**30)
    assert [row.sha256 for row in check_rows(folder)] == [row.sha256 for row in before]
