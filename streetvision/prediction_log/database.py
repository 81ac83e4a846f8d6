"""The writer's side of the files on disk: batches in, old and least interesting things out. One thread uses it.

An image file is in place before the row that names it is committed, and a row's image is marked as gone before its file
is deleted: whenever the process dies, no row names an image that is not there without saying so.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from streetvision.base.sqlite import damaged_name, is_in_place, migrate, transaction
from streetvision.base.sqlite_trouble import cause_of
from streetvision.prediction_log.entry import NewRow
from streetvision.prediction_log.images import ImageStore
from streetvision.prediction_log.schema import COLUMNS, DATABASE, ENDS_KILLED, LOG_SCHEMA, OPEN

_MARKS = ", ".join("?" * len(COLUMNS))
_INSERT_REQUEST = f"INSERT INTO requests ({', '.join(COLUMNS)}) VALUES ({_MARKS})"  # noqa: S608 - our own names
_UPSERT_IMAGE = """
INSERT INTO images (sha256, size_bytes, state, certainty, seen) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (sha256) DO UPDATE SET
    state = CASE excluded.state WHEN 'stored' THEN 'stored' ELSE state END,
    certainty = min(certainty, excluded.certainty),
    seen = max(seen, excluded.seen)
"""
_NEXT_ID = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'requests'), 0) + 1"
_STORED_BYTES = "SELECT coalesce(sum(size_bytes), 0) FROM images WHERE state = 'stored'"
_CHUNK = 500
"""Digests looked up at once."""


@dataclass(slots=True)
class Written:
    """What one batch came to."""

    rows: int
    images: int
    images_dropped: Counter[str]
    """By cause."""


class LogDatabase:
    """An open log. The constructor and every method raise OSError, sqlite3.Error or NewerSchema; none is fatal."""

    def __init__(self, folder: Path, *, busy_timeout_s: float = 1.0) -> None:
        self._lock = _lock(folder / "writer.lock")
        try:
            self._open(folder, busy_timeout_s)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, folder: Path, busy_timeout_s: float) -> None:
        self.images = ImageStore(folder / "images")
        self.images.prepare()
        self.file = folder / DATABASE
        # Autocommit; transactions are begun by hand. The thread that opens is the one that writes.
        self.db = sqlite3.connect(self.file, timeout=busy_timeout_s, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self.db.close()
            raise

    def _prepare(self) -> None:
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")
        migrate(self.db, LOG_SCHEMA)
        self.inode = self.file.stat().st_ino
        self.stored_bytes = int(self.db.execute(_STORED_BYTES).fetchone()[0])
        self._open_mark()

    def _open_mark(self) -> None:
        """Find out whether the last writer was killed, and leave the mark by which the next one finds out."""
        with transaction(self.db):
            mark = self.db.execute("SELECT value FROM counters WHERE name = ?", [OPEN]).fetchone()
            self.after_kill = mark == (1,)
            if self.after_kill:
                self._count(Counter({ENDS_KILLED: 1}))
            self.db.execute("INSERT OR REPLACE INTO counters (name, value) VALUES (?, 1)", [OPEN])

    def close(self) -> None:
        """Fold the write-ahead log into the file, unless a reader is in the way, and close it."""
        try:
            with contextlib.suppress(sqlite3.Error):  # the next writer then thinks that this one was killed
                self.db.execute("UPDATE counters SET value = 0 WHERE name = ?", [OPEN])
            self.db.close()
        finally:
            os.close(self._lock)

    @property
    def in_place(self) -> bool:
        """Whether the open file is still the one under its name; false after someone moved or deleted it."""
        return is_in_place(self.file, self.inode)

    def write(self, entries: Sequence[NewRow], lost: Counter[str]) -> Written:
        """Store a batch: its new images, then all its rows or none. `lost` is added to the persistent counters."""
        fresh = {entry.sha256: entry for entry in entries if entry.sha256 and entry.image}
        for known in self._known(list(fresh), "stored"):
            del fresh[known]
        dropped, stored = self._store_images(fresh)
        with transaction(self.db):
            self._insert(entries, set(dropped))
            self._count(lost + Counter({f"images:{cause}": n for cause, n in Counter(dropped.values()).items()}))
        self.stored_bytes += stored
        return Written(len(entries), len(fresh) - len(dropped), Counter(dropped.values()))

    def _known(self, digests: Sequence[str], state: str) -> list[str]:
        known: list[str] = []
        for start in range(0, len(digests), _CHUNK):
            part = digests[start : start + _CHUNK]
            marks = ", ".join("?" * len(part))
            query = f"SELECT sha256 FROM images WHERE state = ? AND sha256 IN ({marks})"  # noqa: S608 - question marks
            known += [digest for (digest,) in self.db.execute(query, [state, *part])]
        return known

    def _store_images(self, fresh: dict[str, NewRow]) -> tuple[dict[str, str], int]:
        """The digests that could not be stored with the cause, and the bytes of those that were."""
        dropped: dict[str, str] = {}
        stored = 0
        for digest, entry in fresh.items():
            assert entry.image is not None  # noqa: S101 - chosen by it
            try:
                self.images.put(digest, entry.image)
            except OSError as error:
                dropped[digest] = cause_of(error, self.file.parent)
            else:
                stored += len(entry.image)
        return dropped, stored

    def _insert(self, entries: Sequence[NewRow], dropped: set[str]) -> None:
        ids = count(int(self.db.execute(_NEXT_ID).fetchone()[0]))
        numbered = [(number, entry) for number, entry in zip(ids, entries, strict=False)]
        self.db.executemany(
            _UPSERT_IMAGE,
            (
                (e.sha256, len(e.image or b""), "dropped" if e.sha256 in dropped else "stored", e.certainty, e.seen)
                for e in entries
                if e.sha256
            ),
        )
        self.db.executemany(_INSERT_REQUEST, ((number, *entry.values) for number, entry in numbered))
        self.db.executemany(
            "INSERT INTO embeddings (request, vector) VALUES (?, ?)",
            ((number, entry.embedding) for number, entry in numbered if entry.embedding is not None),
        )

    def _count(self, lost: Counter[str]) -> None:
        self.db.executemany(
            "INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
            lost.items(),
        )


def _lock(file: Path) -> int:
    """The one writer's lock, which ends with its process; BlockingIOError while another holds it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def set_aside(folder: Path, now: int) -> Path:
    """Rename a damaged database with its write-ahead log, so that SQLite's `.recover` can still be tried; OSError."""
    aside = damaged_name(folder, now)
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{DATABASE}{suffix}").rename(f"{aside}{suffix}")
    return aside
