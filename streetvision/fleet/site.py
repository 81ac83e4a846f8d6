"""The fleet's port: one page for all miners, each miner's own page, and the metrics of all. It asks their sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Generic, TypeVar

from loguru import logger
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from streetvision.control.app import HTML, Asked, Response, Route, Site, as_json, failure
from streetvision.control.client import SOCKET_NAME, call
from streetvision.control.exposition import PLAIN
from streetvision.control.http import HttpServer
from streetvision.errors import OperatorError
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.keeper import Kept
from streetvision.fleet.member import Member
from streetvision.fleet.metrics import merged, parsed
from streetvision.fleet.overview import AT_ONCE, SILENCE_S, ask_soon, fleet_status
from streetvision.fleet.page import render_fleet
from streetvision.fleet.schema import FleetStatus
from streetvision.page.page import PAGE_SPAN, SERVED_POLICY, render_page
from streetvision.page.pictures import Gallery
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.status.schema import Status

FRESH_S = 1.0
"""An answer serves again for so long, however many ask."""
METRICS = "metrics"
"""Operation on a miner's control socket."""
Found = TypeVar("Found")
Facts = Callable[[], Mapping[str, Kept]]


class Fresh(Generic[Found]):
    """Makes something in one thread at a time, and keeps it for a moment."""

    def __init__(self, make: Callable[[], Found], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._make, self._clock = make, clock
        self._made: tuple[float, Found] | None = None
        self._making = asyncio.Lock()

    async def __call__(self) -> Found:
        """Of this moment, or of a second ago."""
        async with self._making:
            if self._made is None or self._clock() - self._made[0] >= FRESH_S:
                self._made = self._clock(), await asyncio.to_thread(self._make)
            return self._made[1]


class MinerPages:
    """The page, the snapshot and the metrics of one miner, at paths of the fleet's port."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._gallery = Gallery(member.folder / LOG_FOLDER)
        self._page: Fresh[bytes] = Fresh(self._drawn)

    def routes(self) -> dict[str, Route]:
        """By path; the page's own links lead to the others."""
        at = f"/miners/{self._member.name}/"
        found: dict[str, Callable[[], Awaitable[Response]]] = {
            at: self._as_page,
            f"{at}api/status.json": self._as_values,
            f"{at}metrics": self._metrics,
        }
        return {path: partial(_or_why_not, answer) for path, answer in found.items()}

    def _drawn(self) -> bytes:
        status = self._status()
        try:
            pictures, trouble = self._gallery.pictures(time.time()), ""
        except OperatorError as error:
            pictures, trouble = [], str(error)
        return render_page(status, pictures, trouble).encode()

    def _status(self) -> Status:
        return ask_soon(self._member.folder, PAGE_SPAN)

    async def _as_page(self) -> Response:
        return Response(200, await self._page(), HTML, SERVED_POLICY)

    async def _as_values(self) -> Response:
        return as_json(200, await asyncio.to_thread(self._status))

    async def _metrics(self) -> Response:
        return Response(200, (await asyncio.to_thread(metrics_of, self._member)).encode(), PLAIN)


async def _or_why_not(answer: Callable[[], Awaitable[Response]], _: Asked) -> Response:
    """503 with a sentence while the miner does not answer."""
    try:
        return await answer()
    except OperatorError as error:
        return failure(503, f"{error}")


class FleetSite:
    """Start it before the miners, close it after them."""

    def __init__(self, fleet: Fleet, kept: Facts) -> None:
        """`kept` is what their keepers know; nothing when nobody keeps them."""
        self._fleet, self._kept = fleet, kept
        self._status: Fresh[FleetStatus] = Fresh(lambda: fleet_status(self._fleet, kept()))
        self._metrics: Fresh[bytes] = Fresh(self._merged)
        self._routes: dict[str, Route] = {
            "/": self._as_page,
            "/api/fleet.json": self._as_values,
            "/metrics": self._as_metrics,
            "/healthz": self._alive,
        }
        for member in fleet.members:
            self._routes |= MinerPages(member).routes()
        self.server = HttpServer(
            Site(self._routes),
            CollectorRegistry(),
            address=fleet.address,
            port=fleet.port,
            hosts=tuple(filter(None, fleet.hosts.split(","))),
            names=("port in [fleet]", "address in [fleet]"),
        )

    def add(self, member: Member) -> None:
        """Show one more from now on."""
        self._fleet = replace(self._fleet, members=(*self._fleet.members, member))
        self._routes |= MinerPages(member).routes()

    async def start(self) -> None:
        """Serve, unless the settings say 0; OperatorError when the port cannot be had."""
        if self._fleet.port:
            await self.server.start()

    async def close(self) -> None:
        """Stop serving."""
        await self.server.close()

    async def _as_page(self, _: Asked) -> Response:
        return Response(200, render_fleet(await self._status()).encode(), HTML, SERVED_POLICY)

    async def _as_values(self, _: Asked) -> Response:
        return as_json(200, await self._status())

    async def _as_metrics(self, _: Asked) -> Response:
        return Response(200, await self._metrics(), PLAIN)

    async def _alive(self, _: Asked) -> Response:
        return as_json(200, {"alive": True})

    def _merged(self) -> bytes:
        members = self._fleet.members
        with ThreadPoolExecutor(min(AT_ONCE, len(members)), thread_name_prefix="fleet-metrics") as pool:
            found = pool.map(_families, members)
            return merged(dict(zip((member.name for member in members), found, strict=True)), self._kept())


def _families(member: Member) -> Sequence[Metric] | None:
    try:
        return parsed(metrics_of(member))
    except OperatorError as error:
        logger.debug("metrics of {}: {}", member.name, error)
        return None


def metrics_of(member: Member) -> str:
    """Its metrics in Prometheus' own format; OperatorError when it does not answer."""
    text = call(member.folder / SOCKET_NAME, METRICS, silence_s=SILENCE_S).get("text")
    if not isinstance(text, str):
        raise OperatorError(f"{member.name} is of another version than its fleet: restart it")
    return text
