"""The operator's port as one part of the miner: readiness and health, metrics, and the status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from streetvision import __version__
from streetvision.base.start_steps import StartSteps
from streetvision.chain.watcher import MetagraphWatcher
from streetvision.control.app import Asked, Response, Route, Site, as_json, failure
from streetvision.control.collectors import ProcessCollector as OwnProcessCollector
from streetvision.control.exposition import Exposition
from streetvision.control.http import HttpServer
from streetvision.control.readiness import LAG_LIMIT_S, Generator, LoopWatch, Reason
from streetvision.control.server import Handler, Progress
from streetvision.engine.engine import Engine
from streetvision.miner.gate import REASONS, Gate
from streetvision.miner.models import ServedModels
from streetvision.miner.status import PATHS, StatusService
from streetvision.settings.settings import Settings

STALE_S = 600.0
"""A metagraph older than that is not fresh; the rule `metagraph_stale` draws its line there too."""
GENERATE = "/health/generate"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the miner that the operator's port asks."""

    hotkey: str
    watcher: MetagraphWatcher
    models: ServedModels
    status: StatusService


class Readiness:
    """Whether the miner is ready, from the first second of its start on."""

    def __init__(self, gate: Gate, steps: StartSteps, *, is_mock: bool) -> None:
        self._gate, self._steps, self._is_mock = gate, steps, is_mock
        self.parts: Parts | None = None
        """None until the start has made them."""

    def reasons(self) -> list[Reason]:
        """Why the miner is not ready; empty when it is."""
        return [*self._of_gate(), *self._of_models(), *self._of_chain()]

    def degraded(self) -> list[Reason]:
        """Why the miner serves less well than it should, though it does serve; empty when nothing is amiss."""
        lost = None if self.parts is None else self.parts.models.lost
        if lost is None or not lost.on_cpu:
            return []
        return [Reason("device_lost", f"the CPU answers, for the device is lost: {lost.why}. A restart may heal it")]

    def _of_gate(self) -> Iterator[Reason]:
        if closed := self._gate.closed:
            step = "" if self._steps.current is None else f": {self._steps.current.words(time.time())}"
            yield Reason(closed, REASONS.get(closed, closed) + step)

    def _of_models(self) -> Iterator[Reason]:
        models = None if self.parts is None else self.parts.models
        if models is None or not models.is_warm:
            yield Reason("not_warm", "the model is not loaded and warmed yet")
            return
        if models.lost is not None and not models.lost.on_cpu:
            yield Reason("device_lost", f"the device is lost ({models.lost.why}): moving to the CPU")
        if models.stuck is not None:
            yield Reason("model_sick", models.stuck)

    def _of_chain(self) -> Iterator[Reason]:
        parts = self.parts
        snapshot = None if parts is None else parts.watcher.current
        if parts is None or snapshot is None:
            yield Reason("no_metagraph", "the metagraph was not read yet")
            return
        proven = self._is_mock or not snapshot.is_misdated  # the mocked chain has a time of its own
        if proven and snapshot.find(parts.hotkey) is None:
            yield Reason("not_registered", "the hotkey has no UID in the metagraph")
        age = parts.watcher.age()
        if not isfinite(age) or age > STALE_S:
            yield Reason("stale_metagraph", f"the metagraph is {age:.0f} s old")


class OperatorPort:
    """Metrics, health and status over HTTP: start it before everything else, close it last."""

    def __init__(self, settings: Settings, registry: CollectorRegistry, readiness: Readiness) -> None:
        self._settings, self._readiness = settings, readiness
        self._exposition = Exposition(registry)
        self._generator = Generator(self._warm_engine, registry)
        self._loop_watch = LoopWatch(registry)
        self._beats: asyncio.Task[None] | None = None
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        OwnProcessCollector(registry, __version__, readiness.reasons, readiness.degraded)
        routes: dict[str, Route] = {
            **{path: partial(self._of_status, path) for path in PATHS},
            "/metrics": self._metrics,
            "/healthz": self._alive,
            "/readyz": self._ready,
            GENERATE: self._generate,
        }
        self.server = HttpServer(
            Site(routes, frozenset({GENERATE})),
            registry,
            address=settings.metrics.address,
            port=settings.http_port,
            hosts=tuple(filter(None, settings.metrics.hosts.split(","))),
        )

    async def start(self) -> None:
        """Serve, unless the settings say 0, and measure the loop; OperatorError when the port cannot be had."""
        if self._settings.http_port:
            await self.server.start()
        self._beats = asyncio.create_task(self._loop_watch.run(), name="loop-watch")

    def operations(self) -> dict[str, Handler]:
        """For the control socket: a fleet, whose miners have no port of their own for it, asks for metrics there."""

        async def metrics(_arguments: Mapping[str, Any], _progress: Progress) -> Mapping[str, Any]:
            _, text = await self._exposition.render("")
            return {"text": text.decode()}

        return {"metrics": metrics}

    async def close(self) -> None:
        """Stop serving; safe to call twice."""
        try:
            if self._beats is not None:
                self._beats.cancel()
                await asyncio.gather(self._beats, return_exceptions=True)
            await self._generator.close()
        finally:
            await self.server.close()

    def _warm_engine(self) -> Engine | None:
        parts = self._readiness.parts
        return None if parts is None or not parts.models.is_warm else parts.models.engine

    async def _of_status(self, path: str, asked: Asked) -> Response:
        """A route of the status; until there is one, why not."""
        parts = self._readiness.parts
        if parts is None:
            return failure(503, f"No status yet: {self._readiness.reasons()[0].message}.")
        return await parts.status.routes()[path](asked)

    async def _metrics(self, asked: Asked) -> Response:
        kind, text = await self._exposition.render(asked.headers.get("accept", ""))
        return Response(200, text, kind)

    async def _alive(self, _: Asked) -> Response:
        worst = self._loop_watch.worst
        alive = worst < LAG_LIMIT_S
        return as_json(200 if alive else 503, {"alive": alive, "loop_lag": round(worst, 4)})

    async def _ready(self, _: Asked) -> Response:
        reasons, degraded = self._readiness.reasons(), self._readiness.degraded()
        told = {"ready": not reasons, "reasons": _plain(reasons), "degraded": _plain(degraded)}
        return as_json(503 if reasons else 200, told)

    async def _generate(self, _: Asked) -> Response:
        done = await self._generator.check()
        told: dict[str, object] = {
            "ok": done.prediction is not None,
            "seconds": round(done.seconds, 4),
            "age": round(max(0.0, time.monotonic() - done.at), 3),
        }
        if done.prediction is None:
            return as_json(503, {**told, "reason": done.reason, "message": done.message})
        return as_json(
            200, {**told, "model": done.prediction.model_version, "probability": done.prediction.probability}
        )


def _plain(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    return [{"code": reason.code, "message": reason.message} for reason in reasons]
