"""The operator's port as one part of the miner: what it serves, and what it asks each room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from math import isfinite

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from streetvision import __version__
from streetvision.axon.admission import Gate
from streetvision.axon.records import RequestRecord
from streetvision.base.start_steps import StartSteps
from streetvision.chain.watcher import MetagraphWatcher
from streetvision.control.app import Asked, Response, Site, as_json
from streetvision.control.collectors import EngineCollector, MonitorCollector
from streetvision.control.collectors import ProcessCollector as OwnProcessCollector
from streetvision.control.exposition import Exposition
from streetvision.control.http import HttpServer
from streetvision.control.readiness import LAG_LIMIT_S, Generator, LoopWatch, Reason
from streetvision.control.request_metrics import RequestMetrics
from streetvision.miner.models import ModelRoom
from streetvision.monitor.monitor import Monitor
from streetvision.rollout.device_guard import LostDevice
from streetvision.settings.settings import Settings

STALE_S = 600.0
"""A metagraph older than that is not fresh; the rule `metagraph_stale` draws its line there too."""
GENERATE = "/health/generate"
CLOSED = {
    "starting": "the miner is starting",
    "crash_loop": "the last starts ended in crashes: the miner waits for a while before it tries again",
    "draining": "the miner answers what is in flight and ends",
    "restarting": "the miner cannot serve any more and ends, to be started again",
    "deregistered": "the hotkey has no UID: requests are refused until it is registered again",
}


class HttpRoom:
    """Start it before everything else, tell it of each room as that room opens, close it last."""

    def __init__(self, settings: Settings, registry: CollectorRegistry, gate: Gate, steps: StartSteps) -> None:
        self._settings, self._registry, self._gate, self._steps = settings, registry, gate, steps
        self._watcher: MetagraphWatcher | None = None
        self._hotkey = ""
        self._models: ModelRoom | None = None
        self._device: Callable[[], LostDevice | None] = lambda: None
        self._stuck: Callable[[], str | None] = lambda: None
        self.site = Site()
        self.requests = RequestMetrics(registry)
        self._exposition = Exposition(registry)
        self._generator = Generator(lambda: None if self._models is None else self._models.engine, registry)
        self._loop_watch = LoopWatch(registry)
        self._beats: asyncio.Task[None] | None = None
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        OwnProcessCollector(registry, __version__, self.reasons, self.degraded)
        self.site.routes |= {
            "/metrics": self._metrics,
            "/healthz": self._alive,
            "/readyz": self._ready,
            GENERATE: self._generate,
        }
        self.site.own_only.add(GENERATE)
        hosts = filter(None, settings.metrics_hosts.split(","))
        self.server = HttpServer(
            self.site, registry, address=settings.metrics_address, port=settings.http_port, hosts=tuple(hosts)
        )

    async def start(self) -> None:
        """Serve, unless the settings say 0; OperatorError when the port cannot be had."""
        if self._settings.http_port:
            await self.server.start()
            self._beats = asyncio.create_task(self._loop_watch.run(), name="loop-watch")

    def watch_chain(self, watcher: MetagraphWatcher, hotkey: str, monitor: Monitor) -> None:
        """The chain is read, and the monitor listens."""
        self._watcher, self._hotkey = watcher, hotkey
        watcher.add_listener(self.requests.on_snapshot)
        collector = MonitorCollector(self._registry, lambda: next(reversed(monitor.history.points), None))
        monitor.add_listener(collector.look)

    def watch_models(self, models: ModelRoom) -> None:
        """The model is warm."""
        self._models = models
        self._device = lambda: models.guard.lost
        self._stuck = lambda: models.manager.stuck
        EngineCollector(self._registry, models.engine, lambda: models.manager.serving)

    def on_request(self, record: RequestRecord) -> None:
        """Listens to the axon."""
        self.requests(record)

    async def close(self) -> None:
        """Stop serving; safe to call twice."""
        async with AsyncExitStack() as parts:
            parts.push_async_callback(self.server.close)
            parts.push_async_callback(self._generator.close)
            if self._beats is not None:
                self._beats.cancel()
                await asyncio.gather(self._beats, return_exceptions=True)

    def reasons(self) -> list[Reason]:
        """Why the miner is not ready; empty when it is."""
        reasons = []
        if closed := self._gate.closed:
            step = "" if self._steps.current is None else f": {self._steps.current.words(time.time())}"
            reasons.append(Reason(closed, CLOSED.get(closed, closed) + step))
        if self._models is None:
            reasons.append(Reason("not_warm", "the model is not loaded and warmed yet"))
        lost, stuck = self._device(), self._stuck()
        if lost is not None and not lost.on_cpu:
            reasons.append(Reason("device_lost", f"the device is lost ({lost.why}): moving to the CPU"))
        if stuck is not None:
            reasons.append(Reason("model_sick", stuck))
        snapshot = None if self._watcher is None else self._watcher.current
        if self._watcher is None or snapshot is None:
            return [*reasons, Reason("no_metagraph", "the metagraph was not read yet")]
        proven = self._settings.is_mock or not snapshot.is_misdated  # the mocked chain has a time of its own
        if proven and snapshot.find(self._hotkey) is None:
            reasons.append(Reason("not_registered", "the hotkey has no UID in the metagraph"))
        age = self._watcher.age()
        if not isfinite(age) or age > STALE_S:
            reasons.append(Reason("stale_metagraph", f"the metagraph is {age:.0f} s old"))
        return reasons

    def degraded(self) -> list[Reason]:
        """Why the miner serves less well than it should, though it does serve; empty when nothing is amiss."""
        lost = self._device()
        if lost is None or not lost.on_cpu:
            return []
        return [Reason("device_lost", f"the CPU answers, for the device is lost: {lost.why}. A restart may heal it")]

    async def _metrics(self, asked: Asked) -> Response:
        kind, text = await self._exposition.render(asked.headers.get("accept", ""))
        return Response(200, text, kind)

    async def _alive(self, _: Asked) -> Response:
        worst = self._loop_watch.worst
        alive = worst < LAG_LIMIT_S
        return as_json(200 if alive else 503, {"alive": alive, "loop_lag": round(worst, 4)})

    async def _ready(self, _: Asked) -> Response:
        reasons = self.reasons()
        told = {"ready": not reasons, "reasons": _plain(reasons), "degraded": _plain(self.degraded())}
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
