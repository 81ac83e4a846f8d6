"""The history's file: `<state_dir>/monitor/history.sqlite`. One thread at a time uses it; errors are the caller's."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import astuple, fields, replace
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any, TypeVar

from streetvision.base.sqlite import Schema, is_in_place, migrate, transaction
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.standing import BLOCKS_PER_DAY
from streetvision.monitor.thresholds import DAY, HOUR
from streetvision.monitor.traffic import TrafficBucket, merged

FOLDER = "monitor"
"""Name of the monitor's folder in the state folder."""
DATABASE = "history.sqlite"
"""File name inside the monitor's folder."""

_FIRST = """
CREATE TABLE points (
    hotkey TEXT NOT NULL,
    netuid INTEGER NOT NULL,
    time REAL NOT NULL,
    block INTEGER NOT NULL,
    tempo INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    uid INTEGER,
    registered_at INTEGER,
    incentive REAL NOT NULL,
    rank INTEGER,
    miners INTEGER NOT NULL,
    emission REAL NOT NULL,
    trust REAL NOT NULL,
    consensus REAL NOT NULL,
    pruning_score REAL NOT NULL,
    stake REAL NOT NULL,
    collateral REAL,
    axon TEXT,
    alpha_price REAL,
    burn_share REAL NOT NULL,
    paid_miners INTEGER NOT NULL,
    validators INTEGER NOT NULL,
    active_validators INTEGER NOT NULL,
    weights_age INTEGER,
    position INTEGER,
    queue INTEGER NOT NULL,
    unprotected INTEGER,
    immune_until INTEGER,
    free_uids INTEGER NOT NULL,
    registration_price REAL,
    registrations INTEGER NOT NULL,
    recent_registrations INTEGER NOT NULL,
    clock_offset REAL,
    PRIMARY KEY (hotkey, netuid, time)
) WITHOUT ROWID;
CREATE TABLE buckets (
    hotkey TEXT NOT NULL,
    netuid INTEGER NOT NULL,
    start REAL NOT NULL,
    span REAL NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (hotkey, netuid, start)
) WITHOUT ROWID
"""
"""`points` as HistoryPoint; `buckets.body` is the rest of a TrafficBucket's fields as JSON, those at rest left out."""

_CHAIN = """
ALTER TABLE points ADD COLUMN chain TEXT;
ALTER TABLE points ADD COLUMN subnet_name TEXT;
ALTER TABLE points ADD COLUMN subnet_owner TEXT;
ALTER TABLE points ADD COLUMN subnet_registered_at INTEGER
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _CHAIN)
"""Scripts in order; the n-th lifts version n to n + 1. Only ever append: files in the field were made by these."""

HISTORY_SCHEMA = Schema("the monitor's history", MIGRATIONS, "move that file away to start a new one")

_COLUMNS = tuple(item.name for item in fields(HistoryPoint))
_INSERT = (
    f"INSERT OR REPLACE INTO points (hotkey, netuid, {', '.join(_COLUMNS)}) "  # noqa: S608 - our own names
    f"VALUES ({', '.join('?' * (len(_COLUMNS) + 2))})"
)
_BODY = tuple(item.name for item in fields(TrafficBucket) if item.name not in ("start", "span"))
_REST = TrafficBucket(0.0, 0.0)


class HistoryDatabase:
    """One hotkey's rows in an open file. Constructor and methods raise OSError, sqlite3.Error or NewerSchema."""

    def __init__(self, folder: Path, hotkey: str, netuid: int, *, busy_timeout_s: float = 1.0) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.file = folder / DATABASE
        self._owner = (hotkey, netuid)
        # Autocommit; transactions are begun by hand. A lock of the owner's keeps threads apart.
        self._db = sqlite3.connect(self.file, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            migrate(self._db, HISTORY_SCHEMA)
            self._inode = self.file.stat().st_ino
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        self._db.close()

    @property
    def in_place(self) -> bool:
        """Whether the open file is still the one under its name; false after someone moved or deleted it."""
        return is_in_place(self.file, self._inode)

    def points(self) -> tuple[HistoryPoint, ...]:
        """Every point of the hotkey, oldest first, of all chains."""
        return read_points(self._db, *self._owner)

    def buckets(self) -> tuple[TrafficBucket, ...]:
        """Every traffic bucket, oldest first."""
        return read_buckets(self._db, *self._owner)

    def replace(
        self,
        gone: tuple[Iterable[float], Iterable[float]],
        kept: tuple[Iterable[HistoryPoint], Iterable[TrafficBucket]],
    ) -> None:
        """All or nothing: delete points by time and buckets by start, then store; the same time is replaced."""
        with transaction(self._db):
            for table, key, times in (("points", "time", gone[0]), ("buckets", "start", gone[1])):
                self._db.executemany(
                    f"DELETE FROM {table} WHERE hotkey = ? AND netuid = ? AND {key} = ?",  # noqa: S608 - ours
                    ((*self._owner, time) for time in times),
                )
            self._insert(*kept)

    def _insert(self, points: Iterable[HistoryPoint], buckets: Iterable[TrafficBucket]) -> None:
        self._db.executemany(_INSERT, ((*self._owner, *astuple(point)) for point in points))
        self._db.executemany(
            "INSERT OR REPLACE INTO buckets (hotkey, netuid, start, span, body) VALUES (?, ?, ?, ?, ?)",
            ((*self._owner, bucket.start, bucket.span, _dump(bucket)) for bucket in buckets),
        )


def read_points(db: sqlite3.Connection, hotkey: str, netuid: int) -> tuple[HistoryPoint, ...]:
    """The points of one hotkey, oldest first, of all chains that this folder was used with."""
    there = {row[1] for row in db.execute("PRAGMA table_info(points)")}
    columns = ", ".join(name if name in there else f"NULL AS {name}" for name in _COLUMNS)  # a file not yet migrated
    query = f"SELECT {columns} FROM points WHERE hotkey = ? AND netuid = ? ORDER BY time"  # noqa: S608 - our own names
    return tuple(HistoryPoint(*row) for row in db.execute(query, (hotkey, netuid)))


def read_buckets(db: sqlite3.Connection, hotkey: str, netuid: int) -> tuple[TrafficBucket, ...]:
    """The traffic of one hotkey, oldest first."""
    query = "SELECT start, span, body FROM buckets WHERE hotkey = ? AND netuid = ? ORDER BY start"
    return tuple(_load(*row) for row in db.execute(query, (hotkey, netuid)))


def _dump(bucket: TrafficBucket) -> str:
    values: dict[str, Any] = {name: getattr(bucket, name) for name in _BODY}
    changed = {name: value for name, value in values.items() if value != getattr(_REST, name)}
    return json.dumps(
        {name: dict(value) if hasattr(value, "items") else value for name, value in changed.items()},
        separators=(",", ":"),
    )


def _load(start: float, span: float, body: str) -> TrafficBucket:
    found: dict[str, Any] = json.loads(body)
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}
    return TrafficBucket(start, span, **values)


T = TypeVar("T")

FULL_S = 2 * DAY
"""Age up to which every point is kept."""
TEMPO_S = 30 * DAY
"""Age up to which one point a tempo is kept; after it one a day (UTC)."""
BUCKET_FULL_S = 9 * DAY
"""Age up to which ten-minute buckets are kept: a week and a day, which the rules compare with."""
BUCKET_HOUR_S = 30 * DAY
"""Age up to which hourly buckets are kept; after it one a day."""


def downsampled_points(points: Sequence[HistoryPoint], now: float) -> tuple[HistoryPoint, ...]:
    """The points to keep, oldest first: the last of each group, with all registrations seen in it."""
    newest = points[-1].block if points else 0

    def key(point: HistoryPoint) -> Hashable:
        age = min(now - point.time, (newest - point.block) * DAY / BLOCKS_PER_DAY)
        if age <= FULL_S:
            return point.time
        return (point.registered_at, point.epoch if age <= TEMPO_S else f"day {point.time // DAY}")

    return tuple(_last(group) for group in _groups(points, key))


def _last(group: Sequence[HistoryPoint]) -> HistoryPoint:
    if len(group) == 1:
        return group[0]
    return replace(group[-1], registrations=sum(point.registrations for point in group))


def downsampled_buckets(buckets: Sequence[TrafficBucket], now: float) -> tuple[TrafficBucket, ...]:
    """The buckets to keep, oldest first: sums of those that share an hour or a day."""
    since = accumulate(bucket.span for bucket in reversed(buckets))
    counted = dict(zip((bucket.start for bucket in reversed(buckets)), since, strict=True))

    def key(bucket: TrafficBucket) -> Hashable:
        age = min(now - bucket.start, counted[bucket.start])
        if age <= BUCKET_FULL_S:
            return bucket.start
        span = HOUR if age <= BUCKET_HOUR_S else DAY
        return (span, bucket.start // span)

    return tuple(_sum(group) for group in _groups(buckets, key))


def _sum(group: Sequence[TrafficBucket]) -> TrafficBucket:
    if len(group) == 1:
        return group[0]
    return merged(group, group[0].start, group[-1].start + group[-1].span - group[0].start)


def _groups(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    return [list(group) for _, group in groupby(items, key)]
