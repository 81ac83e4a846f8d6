"""The status as one part of the miner: the snapshot of everything, the page drawn from it, and who may ask for them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from streetvision import __version__
from streetvision.base.steady_clock import Clock
from streetvision.control.app import HTML, Asked, Response, Route, as_json
from streetvision.control.server import Handler
from streetvision.errors import OperatorError
from streetvision.miner.gate import Gate
from streetvision.miner.models import ServedModels
from streetvision.monitor.monitor import Monitor
from streetvision.page.page import PAGE_SPAN, SERVED_POLICY, render_page
from streetvision.page.pictures import Gallery, Picture
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.prediction_log.store import PredictionLog
from streetvision.settings.settings import Settings
from streetvision.status.live import FRESH_S, LiveStatus
from streetvision.status.samples import Samples
from streetvision.status.schema import Status
from streetvision.status.snapshot import Facts

PATHS = ("/", "/api/status.json")
"""On the operator's port: the page, and the snapshot behind it."""


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


class StatusService:
    """Ask `live` for snapshots and `page` for the page."""

    def __init__(
        self,
        settings: Settings,
        monitor: Monitor,
        models: ServedModels,
        log: PredictionLog | None,
        samples: Samples,
        *,
        gate: Gate,
        clock: Clock,
    ) -> None:
        """`samples` hear of the requests."""
        self._settings, self._models, self._log, self._gate = settings, models, log, gate
        self._started = clock()
        self.live = LiveStatus(monitor, self.facts, samples)
        self.page = StatusPage(self.live, settings.state_dir / LOG_FOLDER, now=clock)

    def operations(self) -> dict[str, Handler]:
        """For the control socket."""
        return self.live.operations()

    def facts(self) -> Facts:
        """What the monitor does not observe."""
        return Facts(
            __version__,
            self._settings.netuid,
            self._settings.subtensor_network,
            closed=self._gate.closed,
            pid=os.getpid(),
            started=self._started,
            models=self._models.status(),
            log=None if self._log is None else self._log.health(),
        )

    def routes(self) -> dict[str, Route]:
        """Of PATHS."""

        async def page(_: Asked) -> Response:
            return Response(200, await self.page.page(), HTML, SERVED_POLICY)

        async def as_values(_: Asked) -> Response:
            return as_json(200, await self.live.snapshot(PAGE_SPAN))

        return dict(zip(PATHS, (page, as_values), strict=True))
