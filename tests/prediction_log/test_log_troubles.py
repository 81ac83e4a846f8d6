"""Full disks, read-only folders, locks and damage: counted, told once, recovered from, never raised."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streetvision.base.sqlite_trouble import CAUSES, cause_of
from streetvision.prediction_log.database import set_aside
from streetvision.prediction_log.images import ImageStore
from streetvision.prediction_log.schema import DATABASE, MIGRATIONS

from .conftest import MakeRecord, Rig


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


def told(lines: list[str], words: str) -> int:
    return sum(words in line for line in lines)


def test_a_full_disk_drops_images_then_waits_with_rows_and_recovers(
    small_disk: Path, make_rig: Callable[..., Any], make_record: MakeRecord, image: Any, lines: list[str]
) -> None:
    rig = make_rig(folder=small_disk / "log", max_rows=400)
    rig.log(make_record(image(1000)))
    rig.tick()
    ballast = small_disk / "ballast"
    fill(ballast)
    for _ in range(6):
        rig.log(*(make_record(image(20_000)) for _ in range(100)))
        rig.tick()
    assert rig.degraded() == "disk_full"
    assert told(lines, "requests are not written") == 1
    assert rig.sample("degraded") == 1
    assert rig.sample("rows_dropped_total", cause="disk_full") > 0
    ballast.unlink()
    rig.tick()
    rig.log(make_record(image(1000)))
    rig.tick()
    assert rig.degraded() is None
    assert rig.sample("degraded") == 0
    rows = rig.rows()
    assert rows[-1].image == "stored"
    assert len(rows) + rig.sample("rows_dropped_total", cause="disk_full") == 602
    stored = {row.sha256 for row in rows if row.image == "stored"}
    assert stored == rig.files()


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC


def test_images_that_do_not_fit_say_so_in_their_rows(
    rig: Rig, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ImageStore, "put", full)
        rig.log(make_record(b"a"), make_record(b"a"), make_record(b"b"), make_record(None, None))
        rig.tick()
        rig.log(make_record(b"c"))
        rig.tick()
        assert rig.degraded() == "disk_full"
        assert [row.image for row in rig.rows()] == ["dropped", "dropped", "dropped", "none", "dropped"]
    assert rig.sample("images_dropped_total", cause="disk_full") == 3
    assert told(lines, "images are not kept") == 1
    rig.log(make_record(b"c"))
    rig.tick()
    assert rig.degraded() is None
    assert [row.image for row in rig.rows()][-2:] == ["stored", "stored"]
    with_counters = sqlite3.connect(rig.folder / DATABASE)
    assert with_counters.execute("SELECT * FROM counters WHERE name <> 'open'").fetchall() == [("images:disk_full", 3)]
    with_counters.close()


def test_a_read_only_disk_is_told_and_left_alone_until_it_is_writable(
    small_disk: Path, make_rig: Callable[..., Any], make_record: MakeRecord, lines: list[str]
) -> None:
    remount(small_disk, "ro")
    rig = make_rig(folder=small_disk / "log", max_rows=5)
    rig.log(*(make_record() for _ in range(8)))
    rig.tick()
    rig.tick()
    assert rig.degraded() == "read_only"
    assert told(lines, "requests are not written") == 1
    remount(small_disk, "rw")
    rig.tick()
    assert rig.degraded() is None
    assert len(rig.rows()) == 5


def test_a_disk_that_turns_read_only_while_running(
    small_disk: Path, make_rig: Callable[..., Any], make_record: MakeRecord
) -> None:
    first = make_rig(folder=small_disk / "log")
    first.log(make_record(b"before"))
    first.tick()
    first.writer.close()
    remount(small_disk, "ro")
    rig = make_rig(folder=small_disk / "log")
    rig.log(make_record(b"meanwhile"))
    rig.tick()
    assert rig.degraded() == "read_only"
    assert [row.size_bytes for row in rig.rows()] == [6]  # and it can still be read
    remount(small_disk, "rw")
    rig.tick()
    assert [row.size_bytes for row in rig.rows()] == [6, 9]


def test_a_locked_database_keeps_requests_waiting(rig: Rig, make_record: MakeRecord, lines: list[str]) -> None:
    rig.log(make_record(b"1"))
    rig.tick()
    other = sqlite3.connect(rig.folder / DATABASE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for _ in range(3):
        rig.log(make_record(b"2"))
        rig.tick()
    assert rig.degraded() == "locked"
    assert told(lines, "requests are not written") == 1
    other.execute("ROLLBACK")
    other.close()
    rig.tick()
    assert rig.degraded() is None
    assert len(rig.rows()) == 4
    assert told(lines, "recovered") == 1


def test_a_second_miner_in_the_same_folder_is_told_apart(
    make_rig: Callable[..., Any], make_record: MakeRecord, lines: list[str]
) -> None:
    first, second = make_rig(), make_rig()
    first.log(make_record())
    first.tick()
    second.log(make_record())
    second.tick()
    assert second.writer.degraded == "locked"
    assert told(lines, "give each miner its own --state_dir") == 1
    first.writer.close()
    second.tick()
    assert second.writer.degraded is None
    assert len(second.rows()) == 2


def test_between_failures_the_writer_rests(make_rig: Callable[..., Any], make_record: MakeRecord) -> None:
    attempts = []

    def refuse(folder: Path) -> Any:
        attempts.append(folder)
        raise PermissionError(errno.EACCES, "Permission denied")

    rig = make_rig(open_database=refuse)
    rig.log(make_record())
    for _ in range(5):
        rig.writer.tick()
    assert len(attempts) == 1
    rig.tick()
    assert len(attempts) == 2
    assert rig.degraded() == "read_only"


def test_what_is_not_a_database_is_set_aside(
    make_rig: Callable[..., Any], make_record: MakeRecord, lines: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / DATABASE).write_bytes(b"not a database at all" * 500)
    rig = make_rig()
    rig.log(make_record())
    rig.tick()
    rig.tick()
    assert rig.degraded() is None
    assert len(rig.rows()) == 1
    (aside,) = folder.glob("damaged-*.sqlite")
    assert aside.read_bytes().startswith(b"not a database")
    assert told(lines, "ERROR prediction log: the damaged database is now") == 1


def test_a_damaged_database_is_not_written_over_by_the_next(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        (tmp_path / DATABASE).write_bytes(content)
        set_aside(tmp_path, 7)  # a machine without a clock starts at the same second each time
    assert {file.read_bytes() for file in tmp_path.glob("damaged-7*.sqlite")} == {b"first", b"second"}


def test_damage_found_later_keeps_the_images(make_rig: Callable[..., Any], make_record: MakeRecord, image: Any) -> None:
    first = make_rig()
    first.log(*(make_record(image(100)) for _ in range(200)))
    first.tick()
    first.writer.close()
    files = first.files()
    database = first.folder / DATABASE
    whole = database.read_bytes()
    database.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    again = make_rig()
    again.log(make_record(b"next"))
    for _ in range(3):
        again.tick()
    assert again.writer.degraded is None
    assert [row.size_bytes for row in again.rows()] == [4]
    assert files < again.files()
    assert again.writer.stored_bytes == 200 * 100 + 4


def test_a_newer_log_is_not_touched(make_rig: Callable[..., Any], make_record: MakeRecord, lines: list[str]) -> None:
    first = make_rig()
    first.tick()
    first.writer.close()
    with sqlite3.connect(first.folder / DATABASE) as database:
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()
    again = make_rig()
    again.log(make_record())
    again.tick()
    assert again.writer.degraded == "newer_schema"
    assert told(lines, "upgrade") == 1


def test_a_log_that_is_deleted_or_moved_while_running_begins_anew(
    rig: Rig, make_record: MakeRecord, tmp_path: Path
) -> None:
    rig.log(make_record(b"before"))
    rig.tick()
    rig.folder.rename(tmp_path / "moved")
    rig.log(make_record(b"after"))
    rig.tick()
    assert [row.size_bytes for row in rig.rows()] == [5]


def test_a_defect_costs_its_batch_and_nothing_else(rig: Rig, make_record: MakeRecord, lines: list[str]) -> None:
    rig.log(make_record(uid=2**70))
    rig.tick()
    assert rig.degraded() == "defect"
    assert rig.sample("rows_dropped_total", cause="defect") == 1
    rig.log(make_record())
    rig.tick()
    assert rig.degraded() is None
    assert len(rig.rows()) == 1
    assert len(rig.write_queue) == rig.write_queue.held_bytes == 0


def test_what_cannot_be_written_at_the_end_is_told(
    make_rig: Callable[..., Any], make_record: MakeRecord, lines: list[str]
) -> None:
    def refuse(folder: Path) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    rig = make_rig(open_database=refuse)
    rig.log(make_record(), make_record())
    rig.writer.close()
    assert told(lines, "2 requests are lost") == 1


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.EDQUOT, ""), "disk_full"),
        (OSError(errno.EROFS, ""), "read_only"),
        (OSError(errno.EIO, ""), "io"),
        (sqlite3.ProgrammingError("a bug"), "defect"),
        (KeyError("a bug"), "defect"),
    ],
)
def test_causes(error: Exception, cause: str, tmp_path: Path) -> None:
    assert cause_of(error, tmp_path) == cause
    assert cause in CAUSES
