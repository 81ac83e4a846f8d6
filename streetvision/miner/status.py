"""The miner's face as one part of it: the newest requests, the snapshot of everything, and who may ask for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from streetvision import __version__
from streetvision.axon.records import RequestRecord
from streetvision.base.steady_clock import Clock
from streetvision.control.app import HTML, Asked, Response, Route, as_json
from streetvision.control.server import Handler
from streetvision.monitor.monitor import Monitor
from streetvision.monitor.thresholds import DAY
from streetvision.page.page import PAGE_SPAN, SERVED_POLICY
from streetvision.page.served import StatusPage
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.prediction_log.store import PredictionLog
from streetvision.rollout.manager import ModelManager
from streetvision.settings.settings import Settings
from streetvision.status.from_log import remembered
from streetvision.status.live import LiveStatus
from streetvision.status.samples import Samples
from streetvision.status.snapshot import Facts


class StatusRoom:
    """Open it before the axon, give it every record; ask `live` for snapshots and `page` for the page."""

    def __init__(
        self,
        settings: Settings,
        monitor: Monitor,
        manager: ModelManager,
        log: PredictionLog | None,
        closed: Callable[[], str | None],
        *,
        clock: Clock,
    ) -> None:
        """`closed` says why requests are refused; None while they are admitted."""
        self._settings, self._monitor, self._manager, self._log, self._closed = settings, monitor, manager, log, closed
        self._started = clock()
        self.live = LiveStatus(monitor, self.facts, Samples())
        self.page = StatusPage(self.live, settings.state_dir / LOG_FOLDER, now=clock)

    async def open(self) -> None:
        """Take up what the log knows of the last day, so that a restart forgets no validator."""
        folder = self._settings.state_dir / LOG_FOLDER
        before = await asyncio.to_thread(remembered, folder, self._started - DAY)
        self.live.samples = Samples(before)

    def on_request(self, record: RequestRecord) -> None:
        """Listens to the axon."""
        self.live.samples(record)

    def operations(self) -> dict[str, Handler]:
        """For the control socket."""
        return self.live.operations()

    def facts(self) -> Facts:
        """What the monitor does not observe."""
        return Facts(
            __version__,
            self._settings.netuid,
            self._settings.subtensor_network,
            closed=self._closed(),
            pid=os.getpid(),
            started=self._started,
            models=self._manager.status(),
            log=None if self._log is None else self._log.health(),
        )

    def routes(self) -> dict[str, Route]:
        """For the operator's port: the page, and the snapshot behind it."""

        async def page(_: Asked) -> Response:
            return Response(200, await self.page.page(), HTML, SERVED_POLICY)

        async def as_values(_: Asked) -> Response:
            return as_json(200, await self.live.snapshot(PAGE_SPAN))

        return {"/": page, "/api/status.json": as_values}
