"""The memory of the monitor: points and traffic in memory, and behind them a file that may fail.

The loop's thread adds, which costs microseconds; `flush`, in a thread, writes. While the file cannot be written, what
is new waits up to a bound, the oldest is given up and counted, and each flush tries again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from loguru import logger

from streetvision.base.sqlite import NewerSchema, check_version, damaged_name, version_of
from streetvision.base.sqlite_trouble import CAUSES, cause_of
from streetvision.chain.metagraph import MetagraphSnapshot, is_other_chain
from streetvision.errors import OperatorError
from streetvision.monitor.history_database import (
    DATABASE,
    HISTORY_SCHEMA,
    HistoryDatabase,
    downsampled_buckets,
    downsampled_points,
    read_buckets,
    read_points,
)
from streetvision.monitor.observation import StoreView
from streetvision.monitor.point import HistoryPoint, of_one_chain, point_of
from streetvision.monitor.set_back import buckets_may_go, points_may_go
from streetvision.monitor.traffic import TrafficBucket

T = TypeVar("T", HistoryPoint, TrafficBucket)

DOWNSAMPLE_S = 3600.0
"""Between two downsamplings."""
MAX_WAITING = 5_000
"""Rows that wait for the file: three days of points."""
_TROUBLE = (sqlite3.Error, OSError, NewerSchema, ValueError, TypeError)
"""The last two are what a row of damaged JSON or of another shape raises."""


class History:
    """One hotkey's history on one subnet. `add` and `add_traffic` on one thread; `flush` and `close` on any."""

    def __init__(
        self, folder: Path, hotkey: str, netuid: int, *, clocked: bool = True, now: Callable[[], float] = time.time
    ) -> None:
        """`folder` is made when it is missing; `clocked` is false where block timestamps mean nothing (the mock)."""
        self._folder, self._hotkey, self._netuid = folder, hotkey, netuid
        self._clocked, self._now = clocked, now
        self.points: tuple[HistoryPoint, ...] = ()
        """Oldest first; replaced whole."""
        self.buckets: tuple[TrafficBucket, ...] = ()
        """Closed ones, oldest first; replaced whole."""
        self._waiting: tuple[list[HistoryPoint], list[TrafficBucket]] = ([], [])
        self._gone: list[float] = []
        self._state, self._file = threading.Lock(), threading.Lock()
        self._db: HistoryDatabase | None = None
        self._loaded = False
        self._degraded: str | None = None
        self._lost = 0
        self._downsampled_at = 0.0
        self._believing = True

    def add(self, snapshot: MetagraphSnapshot) -> HistoryPoint | None:
        """Remember a snapshot, or return None when it lags behind what is known or the clock dates it absurdly.

        Never waits and never fails.
        """
        with self._state:
            if self.points and _began_anew(self.points[-1], snapshot, clocked=self._clocked):
                self.points = ()  # the file keeps the other chain's
            later = [point for point in self.points if point.time >= snapshot.taken_at]
            if self._clocked and not self._believes(points_may_go(later, snapshot)):
                return None
            self._take_back(snapshot)
            if self.points and snapshot.block < self.points[-1].block:
                return None
            point = point_of(snapshot, self._hotkey, self.points[-1] if self.points else None, clocked=self._clocked)
            self.points = (*self.points, point)
            self._waiting[0].append(point)
            self._give_up(self._waiting[0])
        return point

    def _take_back(self, snapshot: MetagraphSnapshot) -> None:
        """Forget what a longer chain contradicts, and what a clock set back made the future."""
        first = snapshot.reorganised_from
        while self.points and first is not None and self.points[-1].block >= first:
            self._withdraw()
        if self.points and snapshot.block < self.points[-1].block:
            return
        while self.points and self.points[-1].time >= snapshot.taken_at:
            self._withdraw()

    def _withdraw(self) -> None:
        """Forget the last point, in memory, in what waits for the file and in the file."""
        *kept, last = self.points
        self.points = tuple(kept)
        self._gone.append(last.time)
        self._waiting[0][:] = [point for point in self._waiting[0] if point is not last]

    def add_traffic(self, buckets: Iterable[TrafficBucket]) -> None:
        """Remember closed buckets, in order of time; never waits and never fails."""
        with self._state:
            fresh = list(buckets)
            later = [bucket for bucket in self.buckets if fresh and bucket.start >= fresh[0].start]
            newest = self.points[-1] if self.points else None
            if later and self._clocked and not self._believes(buckets_may_go(later, fresh[0].start, newest)):
                return
            while fresh and self.buckets and self.buckets[-1].start >= fresh[0].start:
                self.buckets = self.buckets[:-1]  # a clock set back made it the future
            self.buckets = (*self.buckets, *fresh)
            self._waiting[1].extend(fresh)
            self._give_up(self._waiting[1])

    def _believes(self, right: bool) -> bool:
        """Whether the clock may date anything; told once when it may not."""
        if not right and self._believing:
            logger.warning(
                "monitor: the machine's clock stands more than a day before what is remembered: nothing is remembered "
                "until it is right. Set it: sudo timedatectl set-ntp true"
            )
        self._believing = right
        return right

    def _give_up(self, waiting: list[T]) -> None:
        excess = len(waiting) - MAX_WAITING
        if excess > 0:
            del waiting[:excess]
            self._lost += excess

    def flush(self) -> None:
        """Write what is new, and downsample now and then. Blocks on the disk: for a thread. Logs troubles."""
        with self._file:
            try:
                self._write()
            except _TROUBLE as error:
                self._fail(error)
            else:
                self._recover()

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        with self._file:
            self._close_file()

    def health(self) -> StoreView:
        """The state of the file, for the rules."""
        return StoreView(self._degraded, self._lost)

    def _write(self) -> None:
        db = self._open()
        with self._state:
            (points, buckets), gone = self._waiting, self._gone
            self._waiting, self._gone = ([], []), []
        try:
            if points or buckets or gone:
                db.replace((gone, ()), (points, buckets))
        except _TROUBLE:
            with self._state:
                points = [point for point in points if point.time not in self._gone]
                self._gone = gone + self._gone
                self._waiting = (points + self._waiting[0], buckets + self._waiting[1])
                self._give_up(self._waiting[0])
                self._give_up(self._waiting[1])
            raise
        if not 0 <= self._now() - self._downsampled_at < DOWNSAMPLE_S:
            self._downsample(db)

    def _open(self) -> HistoryDatabase:
        if self._db is not None and not self._db.in_place:
            self._close_file()
        if self._db is None:
            self._db = HistoryDatabase(self._folder, self._hotkey, self._netuid)
            if self._loaded:  # the file may be a new one: memory holds everything
                with self._state:
                    self._waiting = (list(self.points), list(self.buckets))
        if not self._loaded:
            self._load(self._db)
        return self._db

    def _load(self, db: HistoryDatabase) -> None:
        """Put what the file remembers before what came since the start, of which what lags behind it is dropped."""
        points, buckets = db.points(), db.buckets()
        with self._state:
            self.points = joined(points, self.points, clocked=self._clocked)
            kept = {id(point) for point in self.points}
            self._waiting = ([point for point in self._waiting[0] if id(point) in kept], self._waiting[1])
            if not self._clocked:  # a mocked chain ends with its process: nobody returns to it
                self._gone += [point.time for point in points if id(point) not in kept]
            start = self.buckets[0].start if self.buckets else float("inf")
            self.buckets = (*(b for b in buckets if b.start < start), *self.buckets)
            self._loaded = True

    def _downsample(self, db: HistoryDatabase | None) -> None:
        """Shrink memory and file; without a file (it fails at present) memory alone, so that it stays bounded."""
        with self._state:
            points, buckets = self.points, self.buckets
        kept = (downsampled_points(points, self._now()), downsampled_buckets(buckets, self._now()))
        self._downsampled_at = self._now()
        if len(kept[0]) == len(points) and len(kept[1]) == len(buckets):
            return
        if db is not None:
            gone = ({p.time for p in points} - {p.time for p in kept[0]}, _starts(buckets) - _starts(kept[1]))
            db.replace(gone, (_fresh(kept[0], points), _fresh(kept[1], buckets)))
        with self._state:  # what was added meanwhile stays
            if self.points[: len(points)] == points:
                self.points = (*kept[0], *self.points[len(points) :])
            if self.buckets[: len(buckets)] == buckets:
                self.buckets = (*kept[1], *self.buckets[len(buckets) :])

    def _fail(self, error: Exception) -> None:
        """Say it once, set a damaged file aside, and try again at the next flush."""
        cause = "corrupt" if isinstance(error, ValueError | TypeError) else cause_of(error, self._folder)
        with contextlib.suppress(sqlite3.Error):
            self._close_file()
        if cause == "corrupt":
            self._set_aside()
        if cause != self._degraded:
            logger.warning("monitor: history cannot be written to {}: {} ({})", self._folder, CAUSES[cause], error)
        self._degraded = cause
        if not 0 <= self._now() - self._downsampled_at < DOWNSAMPLE_S:
            self._downsample(None)

    def _recover(self) -> None:
        if self._degraded is not None:
            logger.info("monitor: history is written again")
            self._degraded = None

    def _close_file(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _set_aside(self) -> None:
        aside = damaged_name(self._folder, self._now())
        for suffix in ("-wal", "-shm", ""):
            file = self._folder / f"{DATABASE}{suffix}"
            with contextlib.suppress(OSError):
                file.rename(f"{aside}{suffix}")


def _began_anew(last: HistoryPoint, seen: MetagraphSnapshot | HistoryPoint, *, clocked: bool) -> bool:
    """Whether what was seen is of another chain; where points do not say theirs, only the mocked one begins anew."""
    if last.chain is None and not clocked:
        return seen.block < last.block
    return is_other_chain(last.chain, seen.chain)


def joined(
    before: Sequence[HistoryPoint], since: Sequence[HistoryPoint], *, clocked: bool = True
) -> tuple[HistoryPoint, ...]:
    """The file's points and those of since then, of one chain and in order: a node that lags adds nothing."""
    if not since:
        return of_one_chain(before)
    known = of_one_chain([point for point in before if point.time < since[0].time], since[0].chain)
    if not known or _began_anew(known[-1], since[0], clocked=clocked):
        return tuple(since)
    return (*known, *(point for point in since if point.block >= known[-1].block))


def _starts(buckets: Iterable[TrafficBucket]) -> set[float]:
    return {bucket.start for bucket in buckets}


def _fresh(kept: Sequence[T], before: Sequence[T]) -> list[T]:
    known = {id(item) for item in before}
    return [item for item in kept if id(item) not in known]


def read_history(folder: Path, hotkey: str, netuid: int) -> tuple[tuple[HistoryPoint, ...], tuple[TrafficBucket, ...]]:
    """The file's points and traffic, for a process beside the miner or without one; both empty without a file.

    OperatorError when it cannot be read.
    """
    file = folder / DATABASE
    if not file.is_file():
        return (), ()
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
            check_version(db, HISTORY_SCHEMA)
            if version_of(db) == 0:
                return (), ()
            return of_one_chain(read_points(db, hotkey, netuid)), read_buckets(db, hotkey, netuid)
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise OperatorError(
            f"the monitor's history {file} cannot be read ({error}): check its permissions, or move it away"
        ) from error
