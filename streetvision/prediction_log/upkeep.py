"""What keeps the log within its limits and true to the files on disk; each step is short, so that rows come first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from streetvision.base.sqlite import transaction
from streetvision.base.steady_clock import Clock, elapsed
from streetvision.prediction_log.database import LogDatabase
from streetvision.prediction_log.entry import UNKNOWN_CERTAINTY
from streetvision.settings.upkeep import LogSettings

GIB = 2**30
DAY_S = 86400.0
HOUR_S = 3600.0
HOURS = 24
"""Age removes at most one part in so many of the log in an hour: whatever clock is wrong, somebody can step in."""
_CHUNK = 500
"""Rows or files looked after in one step."""
_EVICTABLE = "SELECT sha256, size_bytes FROM images WHERE state = 'stored' ORDER BY certainty DESC, seen LIMIT ?"
_OLD_IMAGES = "SELECT sha256 FROM images WHERE seen < ? AND state = 'stored' LIMIT ?"
_FORGET_IMAGES = """
DELETE FROM images WHERE sha256 IN (SELECT sha256 FROM images WHERE seen < ? AND state <> 'stored' LIMIT ?)
"""
_NEWEST = "SELECT max(time) FROM requests"
_ROWS = "SELECT (SELECT max(id) FROM requests) - (SELECT min(id) FROM requests) + 1"
_STORED = "SELECT count(*) FROM images WHERE state = 'stored'"
_FORGET_ROWS = """
DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE time < ? ORDER BY time LIMIT ?) RETURNING id
"""
_ANY_OLD = "SELECT 1 FROM requests WHERE time < ? UNION ALL SELECT 1 FROM images WHERE seen < ? LIMIT 1"
_MARK_GONE = "UPDATE images SET state = 'evicted' WHERE sha256 = ? AND state = 'stored' RETURNING size_bytes"
_ADOPT = """
INSERT INTO images (sha256, size_bytes, state, certainty, seen) VALUES (?, ?, 'stored', ?, ?)
ON CONFLICT (sha256) DO UPDATE SET state = 'stored', size_bytes = excluded.size_bytes
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the log may keep."""

    max_bytes: int = int(LogSettings.max_gib * GIB)
    """Of image files."""
    max_days: float = LogSettings.max_days
    """Nothing older stays, neither rows nor images."""


class Upkeep:
    """Eviction, ageing and the check of the files. Methods raise OSError and sqlite3.Error."""

    def __init__(self, database: LogDatabase, limits: Limits, elapsed: Clock = elapsed) -> None:
        self._database, self._limits, self._elapsed = database, limits, elapsed
        self._newest, self._newest_at = -inf, 0.0
        """Time of the newest request, and the elapsed time at which it was first seen."""
        self._allowed, self._allowed_until = 0, -inf
        self.doubt: str | None = None
        """Why things that seem old are kept, in a clause; None when they are not."""
        self._unchecked = [f"{number:02x}" for number in range(255, -1, -1)]

    @property
    def checked(self) -> bool:
        """Whether all files were compared with the rows since the log was opened."""
        return not self._unchecked

    def make_room(self) -> int:
        """Evict images until the budget holds: the most certain first, among equals the oldest. How many went."""
        evicted = 0
        while (excess := self._database.stored_bytes - self._limits.max_bytes) > 0:
            victims: list[str] = []
            for digest, size in self._database.db.execute(_EVICTABLE, [_CHUNK]).fetchall():
                if excess <= 0:
                    break
                victims.append(digest)
                excess -= size
            if not victims:
                break
            self._evict(victims)
            evicted += len(victims)
        return evicted

    def forget_old(self, now: float) -> tuple[int, int]:
        """Delete what is past the age limit (`now`: Unix s), a chunk at a time: (rows deleted, images removed).

        Things are as old as the newest request and the time elapsed since say, if the clock agrees: a clock that
        jumps makes nothing old.
        """
        newest = self._database.db.execute(_NEWEST).fetchone()[0]
        if newest is None:
            return (0, 0)
        horizon = min(now, self._latest(newest)) - self._limits.max_days * DAY_S
        self._allow()
        limit = min(_CHUNK, self._allowed)
        images = self._forget_images(horizon, limit)
        old = self._forget_rows(horizon, limit)
        self._allowed -= max(old, images)
        self.doubt = self._doubt(now, horizon)
        return old, images

    def _latest(self, newest: float) -> float:
        """The least that the time can be now, Unix s: validators' clocks have vouched for the newest request's."""
        elapsed = self._elapsed()
        if newest > self._newest:
            self._newest, self._newest_at = newest, elapsed
        return self._newest + elapsed - self._newest_at

    def _allow(self) -> None:
        elapsed, db = self._elapsed(), self._database.db
        if elapsed >= self._allowed_until:
            held = max(int(db.execute(query).fetchone()[0]) for query in (_ROWS, _STORED))
            self._allowed, self._allowed_until = max(1, held // HOURS), elapsed + HOUR_S

    def _doubt(self, now: float, horizon: float) -> str | None:
        ahead = now - self._latest(-inf)
        if abs(ahead) > DAY_S:
            side = "behind" if ahead < 0 else "ahead of"
            return (
                f"this machine's clock is {abs(ahead) / DAY_S:.0f} days {side} the newest request: nothing is removed "
                "for its age by that. If the clock is wrong: sudo timedatectl set-ntp true"
            )
        if self._database.db.execute(_ANY_OLD, [horizon, horizon]).fetchone() is None:
            return None
        return f"much is older than --log.max_days at once: it is removed bit by bit, a {HOURS}th of the log an hour"

    def _forget_images(self, horizon: float, limit: int) -> int:
        images = [digest for (digest,) in self._database.db.execute(_OLD_IMAGES, [horizon, limit])]
        self._evict(images)
        return len(images)

    def _forget_rows(self, horizon: float, limit: int) -> int:
        database = self._database
        with transaction(database.db):
            old = database.db.execute(_FORGET_ROWS, [horizon, limit]).fetchall()
            database.db.executemany("DELETE FROM embeddings WHERE request = ?", old)
            database.db.execute(_FORGET_IMAGES, [horizon, limit])
        return len(old)

    def check_files(self) -> tuple[int, int]:
        """Compare one 256th of the files with the rows: (images found missing or damaged, files not known).

        Files that no row knows are kept, if they are whole, and counted in the budget: their rows may be in a database
        that was set aside.
        """
        prefix = self._unchecked[-1]
        found = self._database.images.listing(prefix)
        query = "SELECT sha256, size_bytes, state FROM images WHERE sha256 >= ? AND sha256 < ?"
        known = self._database.db.execute(query, [prefix, prefix + "g"]).fetchall()
        stored = {digest: size for digest, size, state in known if state == "stored"}
        gone = [d for d, size in stored.items() if d not in found or found[d].st_size != size]
        self._evict(gone)
        self._remove(digest for digest, _, state in known if state == "evicted" and digest in found)
        seen_before = {digest for digest, _, state in known if state in ("stored", "evicted")}
        strangers = {digest: stat for digest, stat in found.items() if digest not in seen_before}
        for digest in [digest for digest in strangers if not self._database.images.intact(digest)]:
            self._remove([digest])
            del strangers[digest]
        self._adopt(strangers)
        self._unchecked.pop()
        return len(gone), len(strangers)

    def _adopt(self, files: dict[str, os.stat_result]) -> None:
        if not files:
            return
        rows = [(digest, stat.st_size, UNKNOWN_CERTAINTY, stat.st_mtime) for digest, stat in files.items()]
        with transaction(self._database.db):
            self._database.db.executemany(_ADOPT, rows)
        self._database.stored_bytes += sum(stat.st_size for stat in files.values())

    def _evict(self, digests: Sequence[str]) -> None:
        """Mark first, then delete: a row never promises a file that is gone."""
        if not digests:
            return
        freed = 0
        with transaction(self._database.db):
            for digest in digests:
                freed += sum(size for (size,) in self._database.db.execute(_MARK_GONE, [digest]).fetchall())
        self._database.stored_bytes -= freed
        self._remove(digests)

    def _remove(self, digests: Iterable[str]) -> None:
        for digest in digests:
            self._database.images.remove(digest)
