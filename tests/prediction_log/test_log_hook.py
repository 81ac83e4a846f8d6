"""The hook and its thread: bounded, quick to give way, nothing lost at an orderly end."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter
from streetvision.prediction_log.schema import DATABASE
from streetvision.prediction_log.store import Flood, PredictionLog
from streetvision.prediction_log.write_queue import WriteQueue

from .conftest import MakeRecord


def test_an_orderly_end_writes_what_is_queued(tmp_path: Path, make_record: MakeRecord) -> None:
    log = PredictionLog(tmp_path / "log", CollectorRegistry())
    for n in range(3000):
        log(make_record(b"%d" % (n % 10)))
    log(make_record(authenticated=False))
    log.start()
    assert log.close(20.0)
    assert log.close(20.0)
    health = log.health()
    assert (health.rows_written, health.images_written, health.queued, health.degraded) == (3000, 10, 0, None)
    assert health.stored_bytes == 10
    with LogReader(tmp_path / "log") as reader:
        assert reader.count() == 3000
        assert reader.count(LogFilter(stored=True)) == 3000


def test_rows_are_on_disk_soon_without_any_end(tmp_path: Path, make_record: MakeRecord) -> None:
    log = PredictionLog(tmp_path / "log", CollectorRegistry())
    log.start()
    log(make_record())
    deadline = time.monotonic() + 20
    while not log.health().rows_written and time.monotonic() < deadline:
        time.sleep(0.01)
    assert log.health().rows_written == 1
    assert log.close(20.0)


def test_a_log_that_never_started_closes(tmp_path: Path) -> None:
    assert PredictionLog(tmp_path, CollectorRegistry()).close(0.0)


def test_closing_ends_while_the_database_is_locked(tmp_path: Path, make_record: MakeRecord, lines: list[str]) -> None:
    folder = tmp_path / "log"
    first = PredictionLog(folder, CollectorRegistry())
    first.start()
    assert first.close(20.0)
    other = sqlite3.connect(folder / DATABASE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    log = PredictionLog(folder, CollectorRegistry())
    log.start()
    log(make_record())
    assert log.close(20.0)
    other.close()
    assert any("1 requests are lost" in line for line in lines)


def test_too_many_rows_are_shed_and_counted(make_record: MakeRecord) -> None:
    write_queue = WriteQueue(max_rows=3, max_bytes=1000)
    for _ in range(5):
        write_queue.append(make_record())
    assert len(write_queue) == 3
    assert write_queue.shed() == {"rows": 2, "images": 0}
    assert write_queue.shed() == {"rows": 0, "images": 0}


def test_an_image_too_many_is_shed_and_its_row_says_so(make_rig: Callable[..., Any], make_record: MakeRecord) -> None:
    rig = make_rig(max_bytes=25)
    rig.log(make_record(b"x" * 10), make_record(b"y" * 10), make_record(b"z" * 10), make_record(b"small"))
    assert rig.write_queue.held_bytes == 25
    rig.tick()
    assert rig.write_queue.held_bytes == 0
    assert [(row.image, row.size_bytes) for row in rig.rows()] == [
        ("stored", 10), ("stored", 10), ("dropped", 10), ("stored", 5),
    ]  # fmt: skip
    assert rig.rows()[2].sha256 == ""
    assert rig.sample("images_dropped_total", cause="overload") == 1
    with LogReader(rig.folder) as reader:
        assert reader.stats().dropped_images == {"overload": 1}


def test_under_saturation_samples_are_kept_and_the_rest_is_counted(
    make_rig: Callable[..., Any], make_record: MakeRecord
) -> None:
    rig = make_rig()
    rig.log(*[make_record()] * 90)
    rig.tick(giving_way=True)
    assert len(rig.rows()) == 25
    rig.log(make_record())
    assert len(rig.write_queue) == 65
    for _ in range(4):
        rig.tick(giving_way=True)
    rig.log(*[make_record()] * 90)
    assert len(rig.write_queue) == 25
    rig.tick()
    rig.log(*[make_record()] * 90)
    rig.tick()
    assert len(rig.rows()) == 90 + 25 + 90
    assert rig.sample("rows_dropped_total", cause="overload") == 1 + 65


def test_room_is_kept_until_a_batch_is_written(make_rig: Callable[..., Any], make_record: MakeRecord) -> None:
    rig = make_rig(max_bytes=30)
    rig.log(make_record(b"1"))
    rig.tick()
    other = sqlite3.connect(rig.folder / DATABASE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    rig.log(make_record(b"x" * 30))
    rig.tick()
    assert rig.write_queue.held_bytes == 30
    rig.log(make_record(b"y"))
    other.close()
    rig.tick()
    assert rig.write_queue.held_bytes == 0
    rig.tick()
    assert [row.image for row in rig.rows()] == ["stored", "stored", "dropped"]


def test_one_tick_writes_one_batch_and_closing_writes_all(
    make_rig: Callable[..., Any], make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.prediction_log.writer.BATCH_ROWS", 10)
    rig = make_rig()
    rig.log(*[make_record()] * 35)
    rig.tick()
    assert len(rig.rows()) == 10
    assert rig.writer.behind
    rig.writer.close()
    assert len(rig.rows()) == 35


def test_a_flood_is_told_from_a_burst() -> None:
    now = 0.0
    flood = Flood(lambda: now)
    arrived, told = 0, []
    for rate in [2000] * 12 + [500] * 2 + [2000] * 8:
        now += 0.25
        arrived += rate // 4
        told.append(flood.lasts(arrived))
    assert told == [False] * 8 + [True] * 4 + [False] * 10


def test_arrivals_are_counted_kept_or_not(make_record: MakeRecord) -> None:
    write_queue = WriteQueue(max_rows=3, max_bytes=8)
    for _ in range(5):
        write_queue.append(make_record())
    write_queue.release(write_queue.take(2))
    write_queue.append(make_record())
    assert write_queue.arrived == 6
