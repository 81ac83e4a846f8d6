"""The most uncertain recent challenges as small pictures. Logged bytes are a stranger's: they are decoded within the
engine's limits and encoded anew, and never leave as they came."""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.types import BadImage
from streetvision.monitor.thresholds import DAY
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter, LogRow
from streetvision.prediction_log.schema import DATABASE

SIDE = 128
QUALITY = 55
MOST = 16
LIMITS = DecodeLimits(max_memory=192 * 2**20)
"""Beside what requests take: enough for a progressive JPEG of 50 megapixels."""
DAYS = 7.0
"""How recent."""
LOOKED_AT = 400
"""Newest answers near the border that are looked at, so that old ones do not stay for ever."""
BUDGET_S = 0.08
"""Longest that one page waits for new pictures; the others come with the next."""
KEPT = 64
NEAR = 0.2
"""|P - 0.5| that counts as near the border."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One challenge."""

    jpeg: str
    """A small JPEG of our own making, base64."""
    time: float
    probability: float
    uid: int | None
    width: int
    height: int
    """Pixels as sent."""


class Gallery:
    """Finds and keeps the pictures of one log. Blocks on the disk and decodes: for a thread, one at a time."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.perf_counter) -> None:
        """`folder` is the log's; it may be missing, or come later."""
        self._folder, self._clock = folder, clock
        self._made: OrderedDict[str, str | None] = OrderedDict()

    def pictures(
        self, now: float, *, days: float = DAYS, most: int = MOST, budget_s: float | None = BUDGET_S
    ) -> list[Picture]:
        """The most uncertain of the last `days`, the most uncertain first; OperatorError for an unreadable log."""
        if not (self._folder / DATABASE).is_file():
            return []
        limit = None if budget_s is None else self._clock() + budget_s
        found: list[Picture] = []
        with LogReader(self._folder) as reader:
            for row in _uncertain(reader, now - days * DAY):
                jpeg = self._jpeg(reader, row.sha256, limit)
                if jpeg is not None and row.probability is not None:
                    found.append(Picture(jpeg, row.time, row.probability, row.uid, row.width, row.height))
                if len(found) == most:
                    break
        return found

    def _jpeg(self, reader: LogReader, sha256: str, limit: float | None) -> str | None:
        if sha256 in self._made:
            self._made.move_to_end(sha256)
            return self._made[sha256]
        path = reader.image_path(sha256)
        if path is None or (limit is not None and self._clock() > limit):
            return None
        self._made[sha256] = made = _thumbnail(path)
        if len(self._made) > KEPT:
            self._made.popitem(last=False)
        return made


def _uncertain(reader: LogReader, since: float) -> Iterable[LogRow]:
    """Different images, the most uncertain first: those near the border, else whatever was answered lately."""
    near = LogFilter(since=since, answered=True, stored=True, min_score=0.5 - NEAR, max_score=0.5 + NEAR)
    rows = list(reader.rows(near, limit=LOOKED_AT, newest_first=True))
    if len({row.sha256 for row in rows}) < MOST:
        rows += reader.rows(LogFilter(since=since, answered=True, stored=True), limit=LOOKED_AT, newest_first=True)
    newest = {row.sha256: row for row in reversed(rows)}
    return sorted(newest.values(), key=lambda row: abs((row.probability or 0.0) - 0.5))


def _thumbnail(path: Path) -> str | None:
    """None for bytes that are no picture within the limits, and for a file that is gone."""
    try:
        if path.stat().st_size > LIMITS.max_bytes:
            return None
        decoded = decode(path.read_bytes(), size=SIDE, limits=LIMITS, resize="crop")
    except (OSError, BadImage):
        return None
    buffer = BytesIO()
    Image.fromarray(decoded.array).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
