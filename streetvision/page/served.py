"""The running miner's page: a snapshot, the pictures and the drawing, made in threads and at most once a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from streetvision.errors import OperatorError
from streetvision.page.page import PAGE_SPAN, render_page
from streetvision.page.pictures import Gallery, Picture
from streetvision.status.live import FRESH_S, LiveStatus
from streetvision.status.schema import Status


class StatusPage:
    """Ask it for a page on the miner's loop."""

    def __init__(
        self, live: LiveStatus, log_folder: Path, *, now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._live, self._gallery = live, Gallery(log_folder)
        self._now, self._clock = now, clock
        self._made: tuple[float, bytes] | None = None
        self._making = asyncio.Lock()

    async def page(self) -> bytes:
        """The document in UTF-8, as of now or of a second ago; serve it under SERVED_POLICY."""
        async with self._making:
            if self._made is None or self._clock() - self._made[0] >= FRESH_S:
                status = await self._live.snapshot(PAGE_SPAN)
                page = await asyncio.to_thread(self._drawn, status)
                self._made = self._clock(), page
            return self._made[1]

    def _drawn(self, status: Status) -> bytes:
        return render_page(status, *pictures_of(self._gallery, self._now())).encode()


def pictures_of(gallery: Gallery, now: float) -> tuple[list[Picture], str]:
    """The pictures, or none and the reason in words."""
    try:
        return gallery.pictures(now), ""
    except OperatorError as error:
        return [], str(error)
