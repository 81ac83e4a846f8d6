"""The hook and its thread: bounded, quick to give way, nothing lost at an orderly end."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from streetvision.prediction_log.intake import Intake
from streetvision.prediction_log.load import ThreadLoad, calling_thread_cpu
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter
from streetvision.prediction_log.schema import DATABASE
from streetvision.prediction_log.store import PredictionLog


def test_an_orderly_end_writes_what_is_queued(tmp_path: Path, make_record: Any) -> None:
    log = PredictionLog(tmp_path / "log", CollectorRegistry(), loop_load=lambda: 1.0)
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


def test_rows_are_on_disk_soon_without_any_end(tmp_path: Path, make_record: Any) -> None:
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


def test_closing_ends_while_the_database_is_locked(tmp_path: Path, make_record: Any, lines: list[str]) -> None:
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


def test_too_many_rows_are_shed_and_counted(make_record: Any) -> None:
    intake = Intake(max_rows=3, max_bytes=1000)
    for _ in range(5):
        intake.append(make_record())
    assert len(intake) == 3
    assert intake.shed() == {"rows": 2, "images": 0}
    assert intake.shed() == {"rows": 0, "images": 0}


def test_an_image_too_many_is_shed_and_its_row_says_so(make_rig: Callable[..., Any], make_record: Any) -> None:
    rig = make_rig(max_bytes=25)
    rig.log(make_record(b"x" * 10), make_record(b"y" * 10), make_record(b"z" * 10), make_record(b"small"))
    assert rig.intake.held_bytes == 25
    rig.tick()
    assert rig.intake.held_bytes == 0
    assert [(row.image, row.size_bytes) for row in rig.rows()] == [
        ("stored", 10), ("stored", 10), ("dropped", 10), ("stored", 5),
    ]  # fmt: skip
    assert rig.rows()[2].sha256 == ""
    assert rig.sample("images_dropped_total", cause="overload") == 1
    with LogReader(rig.folder) as reader:
        assert reader.stats().dropped_images == {"overload": 1}


def test_under_saturation_samples_are_written_and_the_rest_waits_within_bounds(
    make_rig: Callable[..., Any], make_record: Any
) -> None:
    rig = make_rig(max_rows=100, max_bytes=500)
    rig.tick(giving_way=True)
    rig.log(*(make_record(b"x" * 10) for _ in range(90)))
    assert len(rig.intake) == 50  # beyond the bytes a request goes whole
    rig.tick(giving_way=True)
    assert len(rig.rows()) == 20
    rig.tick()
    assert len(rig.rows()) == 50
    assert rig.sample("rows_dropped_total", cause="overload") == 40


def test_room_is_kept_until_a_batch_is_written(make_rig: Callable[..., Any], make_record: Any) -> None:
    rig = make_rig(max_bytes=30)
    rig.log(make_record(b"1"))
    rig.tick()
    other = sqlite3.connect(rig.folder / DATABASE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    rig.log(make_record(b"x" * 30))
    rig.tick()
    assert rig.intake.held_bytes == 30
    rig.log(make_record(b"y"))
    other.close()
    rig.tick()
    assert [row.image for row in rig.rows()] == ["stored", "stored", "dropped"]


def test_load_is_the_share_of_a_core() -> None:
    times = iter([0.0, 10.0, 0.5, 11.0, 0.5, 11.0])
    load = ThreadLoad(lambda: next(times), lambda: next(times))
    assert load() == 0.5
    assert load() == 0.0


def test_the_calling_threads_clock_runs() -> None:
    cpu = calling_thread_cpu()
    before = cpu()
    while cpu() == before:
        sum(range(1000))
    assert cpu() > before
