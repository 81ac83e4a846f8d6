"""The way of an image: admit, decode in a thread, queue, run in a batch, answer. The event loop is never blocked.

Several models may be alive at once, each in a lane of its own (lanes.py). One is active; another may be the canary,
which answers a share of the images, and a third the shadow, which sees some of them after the reply. A switch of models
is a change of the route between two requests: the new lane is warm before it gets one, the old one answers what it
holds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from math import isfinite

from prometheus_client import CollectorRegistry

from streetvision.base.defaults import VIEW_SECONDS
from streetvision.engine.answering import Answering, PredictRequest
from streetvision.engine.background_priority import Deference
from streetvision.engine.comparisons import Comparisons
from streetvision.engine.decode import DecodeLimits
from streetvision.engine.decode_queue import DecodeQueue
from streetvision.engine.device_health import explained
from streetvision.engine.lanes import RETIRED, Lane
from streetvision.engine.metrics import EngineMetrics, EngineStats
from streetvision.engine.outcomes import Listeners, OutcomeListener
from streetvision.engine.pending import Pending
from streetvision.engine.preparing import Preparation, PrepareProgress
from streetvision.engine.remote import RemoteEnd
from streetvision.engine.routing import Route
from streetvision.engine.types import DeviceLost, EngineClosed, EngineError, Prediction, Runner
from streetvision.engine.workers import Workers
from streetvision.errors import OperatorError

SHUTTING_DOWN = "the miner is shutting down"
NOT_STARTED = "the engine has not started"
LOWEST = -1.0
"""Priority below any stake."""
RETIRE_GRACE = 5.0
"""Seconds that a forward pass may take to end when its model is taken down."""

logger = logging.getLogger(__name__)


class Engine:
    """Answers images within their deadlines; one instance owns the decode threads and every lane.

    Bound to the event loop that calls `start`; all methods are called there. Deadlines are seconds on `clock`.
    """

    def __init__(
        self,
        first: Runner | Callable[[], Runner],
        *,
        limits: DecodeLimits | None = None,
        queue_size: int = 256,
        decode_threads: int = 2,
        registry: CollectorRegistry | None = None,
        view_seconds: float = VIEW_SECONDS,
        remote: Callable[[Runner], RemoteEnd | None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`first` is the first model, or makes it in a thread when the engine starts.

        `queue_size` bounds all that waits for one lane, decoded or not. `view_seconds` bounds what a request waits for
        the further views of its model: 0 switches them off, infinity is for work that nobody waits for. `remote` says
        which backend answers in the place of a model, if one does.
        """
        if queue_size < 1 or decode_threads < 1:
            raise ValueError("queue_size and decode_threads must be at least 1")
        self._first: Runner | Callable[[], Runner] | None = first
        self._queue_size = queue_size
        self._view_seconds = view_seconds
        self._remote = remote
        self._clock = clock
        self._deference = Deference()
        self._pending = Pending(self._deference)
        self._route: Route | None = None
        self._lanes: list[Lane] = []
        self._metrics = EngineMetrics(
            registry or CollectorRegistry(),
            waiting=lambda: len(self._decode_queue) + sum(len(lane.batcher) for lane in self._lanes),
            running=lambda: sum(lane.batcher.running for lane in self._lanes),
            lanes=lambda: len(self._lanes),
        )
        self._decode_queue = DecodeQueue(decode_threads, limits or DecodeLimits(), clock)
        self._listeners = Listeners()
        self._comparisons = Comparisons(self._decode_queue, self._pending.none, self._listeners, self._metrics, clock)
        self._answering = Answering(self._decode_queue, self._comparisons, self._listeners, self._metrics, clock)
        self._untold = EngineMetrics(CollectorRegistry(), waiting=int, running=int, lanes=int)
        self._exercise = Answering(self._decode_queue, self._comparisons, Listeners(), self._untold, clock)
        self._one_at_a_time = asyncio.Lock()
        self._preparation: Preparation | None = None
        self._closed: str | None = NOT_STARTED

    async def start(self) -> None:
        """Warm the first model up, learn what its buckets cost, and admit; raises RunnerFailure or OperatorError.

        After DeviceLost it may be called again, when what makes the first model makes it on another device.
        """
        self._decode_queue.open()
        try:
            lane = await self._open_first()
        except DeviceLost:
            await asyncio.gather(*(lane.close(EngineClosed(RETIRED), 0.0) for lane in self._lanes))
            self._forget_retired()
            raise
        except (EngineError, OperatorError):
            await self.close()
            raise
        self._route, self._first, self._closed = Route(lane), None, None

    async def predict(self, jpeg: bytes, *, deadline: float, priority: float) -> Prediction:
        """Decode and classify one image before `deadline`; among equal deadlines the higher `priority` goes first.

        Raises BadImage, Overloaded, DeadlineMissed, EngineClosed or RunnerFailure, and ValueError when deadline or
        priority is not finite. A cancelled call leaves the queue.
        """
        with self._pending.counted(self._metrics):
            if not isfinite(deadline):
                raise ValueError("the deadline must be finite")
            route = self.route
            return await self._answering.answer(PredictRequest(jpeg, deadline, priority, self._clock()), route)

    async def exercise(self, jpeg: bytes, *, seconds: float) -> Prediction:
        """Run a full forward pass for a health check, hidden from listeners, behind all that waits.

        Nobody judges a model by it, and of the counters it moves only those of forward passes. Raises EngineError.
        """
        with self._pending.counted(self._untold):
            now, route = self._clock(), Route(self.route.active)
            return await self._exercise.answer(PredictRequest(jpeg, now + seconds, LOWEST, now), route)

    async def prepare(self, make: Callable[[], Runner], *, progress: PrepareProgress | None = None) -> Lane:
        """Load, compile and warm another model while this one serves; returns its lane, which gets no requests yet.

        `make` runs in a thread that stands back for serving. `progress` hears of each step on the event loop. Raises
        EngineError or OperatorError; that, and cancelling, leaves serving untouched and frees what was made. One model
        is prepared at a time, a second call waits.
        """
        async with self._one_at_a_time:
            self._require_open()
            self._preparation = Preparation(make, self._add_lane, self._pending.none, progress, self._deference)
            try:
                return await self._preparation.run()
            finally:
                self._preparation = None
                self._forget_retired()

    def activate(self, lane: Lane) -> Lane | None:
        """Send new requests to this lane from now on; returns the lane that was active, None if it is the same.

        The former lane answers what it holds and stays alive, so that activating it again is instant; `retire` ends it.
        A canary or shadow that is activated loses that role. Raises EngineClosed for a lane that was retired.
        """
        self._require_alive(lane)
        former = self.route.active
        if lane is former:
            return None
        lane.bring_forward()
        self._route = self.route.with_active(lane)
        self._comparisons.forget(lane)
        self._metrics.switch()
        return former

    async def retire(self, lane: Lane) -> None:
        """Let a lane answer what it holds, then end its threads and free its memory; ValueError for the active one.

        It is no canary or shadow any more at once. A model that hangs is left behind after seconds, with a warning.
        """
        if self._route is not None and self._closed is None:
            if lane is self._route.active:
                raise ValueError("the active lane serves: activate another one before retiring it")
            self._route = self._route.without(lane)
        self._comparisons.forget(lane)
        lane.retired = True
        await lane.released()
        if not await lane.close(EngineClosed(RETIRED), RETIRE_GRACE):
            logger.warning(
                "a thread of model %s did not end within %.1f s and is left behind", lane.version, RETIRE_GRACE
            )
        self._forget_retired()

    def canary(self, lane: Lane | None, share: float = 0.0) -> None:
        """Let this lane answer the images whose sha256 falls under `share`, 0 to 1; None: no canary any more.

        A repeated image goes to the same lane. When the canary fails, or takes more than half of the time left, the
        active lane answers. Raises ValueError for the active lane or a share out of range, EngineClosed if retired.
        """
        self._check_candidate(lane, share)
        route = self.route
        self._route = route.without(route.canary) if lane is None else route.with_canary(lane, share)
        if lane is not None:
            lane.bring_forward()

    def shadow(self, lane: Lane | None, share: float = 0.0) -> None:
        """Let this lane see that share of the images, by sha256, after the reply, while the engine has nothing to do.

        None: no shadow any more. At most 64 images wait, more are dropped and counted. Errors as with `canary`.
        """
        self._check_candidate(lane, share)
        route = self.route
        self._route = route.without(route.shadow) if lane is None else route.with_shadow(lane, share)
        if route.shadow is not None and route.shadow is not lane:
            self._comparisons.forget(route.shadow)
        if lane is not None:
            lane.bring_back()

    def add_listener(self, listener: OutcomeListener) -> None:
        """Call it on the event loop with the Outcome of every image, after its reply; what it raises is logged."""
        self._listeners.add(listener)

    @property
    def route(self) -> Route:
        """Which lane is active, which one canary or shadow and at what share; raises EngineClosed unless running."""
        self._require_open()
        if self._route is None:
            raise EngineClosed(NOT_STARTED)
        return self._route

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Every model in memory, oldest first, the one that is being prepared included."""
        return tuple(self._lanes)

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - running out of time is an answer here
        """Admit nobody more and wait until all are answered; False if some are not after `timeout` seconds."""
        self._closed = SHUTTING_DOWN
        try:
            await asyncio.wait_for(self._pending.none(), timeout)
        except TimeoutError:
            return False
        return True

    async def close(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - it bounds one of several steps
        """Refuse all that wait and end the threads; a forward pass still running after `timeout` is left behind."""
        self._closed = SHUTTING_DOWN
        closed = EngineClosed(SHUTTING_DOWN)
        await self._comparisons.close()
        if self._preparation is not None:
            await self._preparation.abort(closed)
        lanes = (lane.close(closed, timeout) for lane in self._lanes)
        ended = await asyncio.gather(self._decode_queue.close(closed, timeout), *lanes)
        if not all(ended):
            logger.warning("a thread did not end within %.1f s and is left behind", timeout)

    def stats(self) -> EngineStats:
        """A snapshot of queues and counts, over all lanes."""
        return self._metrics.snapshot(
            decoding=len(self._decode_queue),
            queued=sum(len(lane.batcher) for lane in self._lanes),
            running=sum(lane.batcher.running for lane in self._lanes),
            cost=(0.0, 0.0) if self._route is None else self._route.active.cost.line,
            lanes=len(self._lanes),
        )

    async def _open_first(self) -> Lane:
        if (first := self._first) is None:
            raise EngineClosed("the engine was started before")
        runner = await asyncio.to_thread(explained, first) if callable(first) else first
        lane = self._add_lane(runner, None)
        seconds = await lane.bring_forward().submit(partial(explained, partial(lane.warm, lane.runner.buckets)))
        for size, value in seconds.items():
            lane.cost.seed(size, value)
        return lane

    def _add_lane(self, runner: Runner, background: Workers | None) -> Lane:
        lane = Lane(
            runner,
            queue_size=self._queue_size,
            metrics=self._metrics,
            clock=self._clock,
            background=background,
            deference=self._deference,
            view_seconds=self._view_seconds,
            coming=self._decode_queue.deadlines,
            remote=self._remote(runner),
        )
        self._lanes.append(lane)
        return lane

    def _forget_retired(self) -> None:
        self._lanes = [lane for lane in self._lanes if not lane.retired]

    def _check_candidate(self, lane: Lane | None, share: float) -> None:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"a share must be from 0 to 1, not {share}")
        if lane is None:
            return
        self._require_alive(lane)
        if lane is self.route.active:
            raise ValueError("the active lane answers already: it can be neither canary nor shadow")

    def _require_open(self) -> None:
        if self._closed is not None:
            raise EngineClosed(self._closed)

    def _require_alive(self, lane: Lane) -> None:
        if lane.retired or lane not in self._lanes:
            raise EngineClosed(RETIRED)
