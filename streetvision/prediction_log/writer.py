"""What the log's thread does at every tick: write what waits, look after the files, and live with what goes wrong."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from loguru import logger

from streetvision.base.sqlite import NewerSchema
from streetvision.base.sqlite_trouble import CAUSES, cause_of
from streetvision.base.steady_clock import Clock, elapsed
from streetvision.errors import reason
from streetvision.prediction_log.database import LogDatabase, Written, set_aside
from streetvision.prediction_log.entry import entry_of
from streetvision.prediction_log.upkeep import Limits, Upkeep
from streetvision.prediction_log.write_health import LogMetrics
from streetvision.prediction_log.write_queue import Pending, WriteQueue

BATCH_ROWS = 1000
SAMPLE_ROWS = 25
"""Written per tick while giving way."""
RETRY_S = {"rows": 1.0, "upkeep": 5.0}
FORGET_EVERY_S = 60.0
CHECK_S = 0.05
"""Of a tick, spent on comparing files with rows after opening."""
OVERLOAD = "overload"
"""Why requests are shed while nothing is wrong with the files."""
_STAYS_OPEN = ("locked", "disk_full")
_AREAS = {"rows": "requests are not written", "images": "images are not kept", "upkeep": "old files are not removed"}


class Writer:
    """One thread calls it. Troubles are told once, counted, and tried again; none of them leaves a method."""

    def __init__(
        self,
        folder: Path,
        write_queue: WriteQueue,
        metrics: LogMetrics,
        limits: Limits,
        *,
        open_database: Callable[[Path], LogDatabase] = LogDatabase,
        wall: Clock = time.time,
        monotonic: Clock = elapsed,
    ) -> None:
        self._folder, self._write_queue, self._metrics, self._limits = folder, write_queue, metrics, limits
        self._open_database, self._wall, self._monotonic = open_database, wall, monotonic
        self._database: LogDatabase | None = None
        self._upkeep: Upkeep | None = None
        self._batch: list[Pending] = []
        self._lost: Counter[str] = Counter()
        """Not yet added to the counters in the database."""
        self._troubles: dict[str, str] = {}
        self._retry_at = dict.fromkeys(RETRY_S, 0.0)
        self._forget_at = 0.0
        self._doubted = ""
        self._opened_once = False
        self.stored_bytes = 0

    @property
    def degraded(self) -> str | None:
        """Why something cannot be written; the worst first."""
        return next((self._troubles[area] for area in _AREAS if area in self._troubles), None)

    @property
    def behind(self) -> bool:
        """Whether more waits than one tick writes, and nothing speaks against the next tick at once."""
        return "rows" not in self._troubles and self.waiting >= BATCH_ROWS

    @property
    def waiting(self) -> int:
        """Requests not written yet, those of a batch that failed among them."""
        return len(self._batch) + len(self._write_queue)

    def tick(self, *, giving_way: bool = False) -> None:
        """Write the oldest of what waits, or a sample, then look after the files."""
        self._write_queue.hold_at_most(SAMPLE_ROWS if giving_way else None)
        self._count_shed()
        self._try("rows", lambda: self._write(giving_way))
        if self._database is not None:
            self._try("upkeep", lambda: self._look_after(giving_way))

    def close(self) -> None:
        """Write what is left, if it can be, and close the files."""
        self._retry_at["rows"] = 0.0
        before = self.waiting + 1
        while self.waiting < before:
            before = self.waiting
            self.tick()
        if self.waiting:
            logger.warning("prediction log: {} requests are lost: {}", self.waiting, CAUSES[self.degraded or "io"])
        self._close_database()

    def _try(self, area: str, work: Callable[[], None]) -> None:
        if self._monotonic() < self._retry_at[area]:
            return
        try:
            work()
        except (OSError, sqlite3.Error, NewerSchema) as error:
            self._troubled(area, error)
        except Exception as error:  # noqa: BLE001 - a defect must cost its batch, never the thread
            logger.opt(exception=error).error("prediction log: {!r}", error)
            self._troubled(area, error)
        else:
            self._set_trouble(area, None)

    def _write(self, giving_way: bool) -> None:
        """One batch, and before it the one that failed: under a flood the caller must soon look up and give way."""
        for _ in range(1 + bool(self._batch)):
            database = self._opened()
            self._batch = self._batch or self._write_queue.take(SAMPLE_ROWS if giving_way else BATCH_ROWS)
            if self._batch or self._lost:
                entries = [entry_of(item.record, item.image_bytes) for item in self._batch]
                self._written(database.write(entries, self._lost))

    def _written(self, written: Written) -> None:
        self._lost.clear()
        self._write_queue.release(self._batch)
        self._batch = []
        self._metrics.written(written.rows, written.images)
        for cause, count in written.images_dropped.items():
            self._metrics.dropped(cause, images=count)
            self._set_trouble("images", cause)
        if written.images and not written.images_dropped:
            self._set_trouble("images", None)

    def _look_after(self, giving_way: bool) -> None:
        database, upkeep = self._database, self._upkeep
        assert database is not None and upkeep is not None  # noqa: S101 - opened together
        try:
            self._metrics.evicted(upkeep.make_room())
            now = self._monotonic()
            if not giving_way and now >= self._forget_at and upkeep.forget_old(self._wall()) == (0, 0):
                self._forget_at = now + FORGET_EVERY_S
                self._report_doubt(upkeep.doubt)
            while not giving_way and not upkeep.checked and self._monotonic() < now + CHECK_S:
                self._report_check(*upkeep.check_files())
        finally:
            self.stored_bytes = database.stored_bytes

    def _report_doubt(self, doubt: str | None) -> None:
        """Once for each kind; a number of days that grows is no other."""
        kind = (doubt or "").partition(":")[0].partition(" is ")[0]
        if doubt is not None and kind != self._doubted:
            logger.warning("prediction log: {}", doubt)
        self._doubted = kind

    def _report_check(self, gone: int, strangers: int) -> None:
        if gone:
            logger.warning("prediction log: {} image files are missing or damaged; their rows say so now", gone)
        if strangers:
            logger.info("prediction log: {} image files without rows are kept", strangers)

    def _opened(self) -> LogDatabase:
        if self._database is not None and not self._database.in_place:
            logger.warning("prediction log: its files were moved or deleted; a new log begins in {}", self._folder)
            self._close_database()
        if self._database is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = self._open_database(self._folder)
            self._report_kill(self._database.after_kill)
            self._upkeep = Upkeep(self._database, self._limits, self._monotonic)
        return self._database

    def _report_kill(self, killed: bool) -> None:
        """Once, of the process before this one."""
        if killed and not self._opened_once:
            logger.warning("prediction log: the last run was killed; its last answers may be missing")
        self._opened_once = True

    def _close_database(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):  # what could not be folded in stays in the write-ahead log
                self._database.close()
        self._database = self._upkeep = None

    def _troubled(self, area: str, error: Exception) -> None:
        cause = cause_of(error, self._folder)
        self._retry_at[area] = self._monotonic() + RETRY_S[area]
        if cause not in _STAYS_OPEN:
            self._close_database()
        self._set_trouble(area, cause, error)
        if cause == "corrupt":
            self._begin_anew()
        elif cause == "defect":
            self._drop_batch()

    def _begin_anew(self) -> None:
        try:
            moved = set_aside(self._folder, int(self._wall()))
        except OSError as error:
            logger.error("prediction log: the damaged database cannot be set aside ({})", reason(error))
            return
        logger.error("prediction log: the damaged database is now {}; a new one begins", moved)
        self._retry_at["rows"] = 0.0

    def _drop_batch(self) -> None:
        self._metrics.dropped("defect", rows=len(self._batch))
        self._lost["rows:defect"] += len(self._batch)
        self._write_queue.release(self._batch)
        self._batch = []

    def _count_shed(self) -> None:
        cause = self.degraded or OVERLOAD
        shed = self._write_queue.shed()
        self._metrics.dropped(cause, rows=shed["rows"], images=shed["images"])
        self._lost += Counter({f"{kind}:{cause}": count for kind, count in shed.items()})

    def _set_trouble(self, area: str, cause: str | None, error: Exception | None = None) -> None:
        """One line for each change."""
        if self._troubles.get(area) == cause:
            return
        if cause is None:
            del self._troubles[area]
            logger.info("prediction log: recovered; dropped since the start: {}", self._metrics.losses())
        else:
            self._troubles[area] = cause
            detail = f" ({reason(error)})" if error else ""
            logger.warning("prediction log: {}{}: {}; serving goes on", _AREAS[area], detail, CAUSES[cause])
        self._metrics.degraded.set(bool(self._troubles))
