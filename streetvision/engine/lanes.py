"""A lane: one loaded model with all that it needs to answer; several may be alive and none waits for another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import inf

import numpy as np

from streetvision.base.defaults import VIEW_SECONDS
from streetvision.engine.answers import Answer, Waiting
from streetvision.engine.background_priority import Deference
from streetvision.engine.batcher import Batcher
from streetvision.engine.cost import CostModel
from streetvision.engine.decode import DecodedImage, DecodeLimits, Hold, decode_looks
from streetvision.engine.device_health import DeviceHealth, explained
from streetvision.engine.dispatch import Dispatcher, forward
from streetvision.engine.ensemble import EnsembleRunner, Geometry, Sight, members_of, router_of
from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.remote import RemoteEnd, RemoteView
from streetvision.engine.remote_dispatch import RemoteDispatcher
from streetvision.engine.types import (
    Closing,
    EngineClosed,
    EngineError,
    ImageArray,
    ImageTooLarge,
    Runner,
    RunnerOutput,
)
from streetvision.engine.view_improver import ViewImprover
from streetvision.engine.views import Look, ViewPass
from streetvision.engine.workers import Workers

RETIRED = "this model was taken down"


@dataclass(frozen=True, slots=True)
class LaneStats:
    """A lane at one moment; counts run since it was made."""

    version: str
    held: int
    """Requests and comparisons that may still come to it or are in it."""
    queued: int
    running: int
    answered: int
    failed: int
    """Images that ended in an EngineError here."""
    cost: tuple[float, float]
    """(a, b) of the predicted seconds a * n + b of a batch of n."""
    retired: bool


class Lane:
    """One model: its runner, cost model, queue, dispatcher and threads. Bound to the event loop that opens it.

    It serves on its foreground thread. A niced background thread, of its own too, warms it up, checks it and computes
    what it sees as a shadow. A lock keeps two calls of the runner from overlapping when work changes threads.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        queue_size: int,
        metrics: EngineMetrics,
        clock: Callable[[], float],
        background: Workers | None = None,
        view_seconds: float = VIEW_SECONDS,
        coming: Callable[[], Sequence[float]] = tuple,
        deference: Deference,
        remote: RemoteEnd | None = None,
    ) -> None:
        """`background` is the thread that loaded the runner, if one did.

        `view_seconds` bounds what a request waits for its further views; `coming` gives the deadlines of the requests
        that are being decoded. The background thread steps aside as `deference` says. `remote` is the backend that
        answers for this model, which must have one pass over a picture.
        """
        self.version = runner.version
        self.input_size = runner.input_size
        self._sight = Sight(runner)
        self._costs = tuple(CostModel(runner.buckets) for _ in members_of(runner))
        self.cost = self._costs[0]
        self.device = DeviceHealth(clock)
        self.batcher: Batcher[Waiting] = Batcher(self.cost, capacity=queue_size)
        self._runner: Runner | None = runner
        self._exclusive = threading.Lock()
        self._clock = clock
        self._view_seconds = view_seconds
        self._improver = ViewImprover(
            self._costs,
            self.batcher,
            metrics,
            combine=self._sight.combined,
            max_seconds=view_seconds,
            coming=coming,
        )
        self._dispatcher = Dispatcher(
            self._run_member,
            runner.version,
            self.batcher,
            self._improver,
            router=router_of(runner),
            metrics=metrics,
            clock=clock,
        )
        self._remote: RemoteDispatcher | None = None
        if remote is not None and self._sight.single:
            self._remote = RemoteDispatcher(
                remote,
                self._dispatcher.infer,
                self.batcher.work,
                side=runner.input_size,
                capacity=queue_size,
                metrics=metrics,
                clock=clock,
            )
        self._deference = deference
        self._background = background
        self._foreground: Workers | None = None
        self._thread: Workers | None = None
        self._holders = self._answered = self._failed = 0
        self._free = asyncio.Event()
        self._free.set()
        self.retired = False

    @property
    def runner(self) -> Runner:
        """The model; raises EngineClosed after the lane was taken down. Only the lane calls its `run`."""
        if self._runner is None:
            raise EngineClosed(RETIRED)
        return self._runner

    @property
    def geometry(self) -> Geometry:
        """What decoding must give it: images decoded for an equal geometry fit both lanes."""
        return self._sight.geometry

    def decode(
        self, data: bytes, limits: DecodeLimits, hold: Hold, *, deadline: float = inf, crowded: bool = False
    ) -> DecodedImage:
        """Bytes to this model's input, in any thread, within `hold` of the memory that takes; raises BadImage.

        Prepares as many views as there will be time for before `deadline`, and one where others wait to be decoded or
        where there is memory for no more.
        """
        if self._sight.single:
            return decode_looks(data, self._sight.plain, limits=limits, hold=hold)
        if crowded and self._view_seconds < inf:
            return self._decode_views(data, limits, hold, deadline, most=1)
        try:
            return self._decode_views(data, limits, hold, deadline, most=None)
        except ImageTooLarge:
            return self._decode_views(data, limits, hold, deadline, most=1)

    def _decode_views(
        self, data: bytes, limits: DecodeLimits, hold: Hold, deadline: float, *, most: int | None
    ) -> DecodedImage:
        passes: list[ViewPass] = []

        def looks(width: int, height: int) -> list[Look]:
            planned = self._sight.passes(width, height)
            affordable = self._improver.affordable(planned[:most], width * height, self._clock(), deadline)
            passes.extend(affordable)
            return [viewed.look for viewed in passes]

        return replace(decode_looks(data, looks, limits=limits, hold=hold), passes=tuple(passes))

    async def infer(self, image: DecodedImage, deadline: float, priority: float, key: str = "") -> Answer:
        """Queue an image of this geometry, wait for its answer; raises EngineError. Leaves the queue if cancelled.

        `key` is the sha256 of its bytes, for a backend that answers in this lane's place.
        """
        try:
            if self._remote is None:
                answer = await self._dispatcher.infer(image, deadline, priority)
            else:
                answer = await self._remote.infer(image, deadline, priority, key)
        except EngineError:
            self._failed += 1
            raise
        self._answered += 1
        return answer

    def refuse(self, error: EngineError) -> None:
        """Fail all that wait for the embedded model, and whatever comes later, at once: it cannot answer any more."""
        self._dispatcher.close(error)

    async def check(self, images: ImageArray) -> RunnerOutput:
        """Run uint8 [N, H, W, 3], any N >= 1, on the lane's thread between its batches; raises RunnerFailure.

        For golden images: the output is checked for shape and finiteness, its values are the caller's to judge.
        """
        most = self.runner.buckets[-1]
        thread = self._thread or self.bring_back()
        parts = [images[start : start + most] for start in range(0, len(images), most)]
        outputs = [(await thread.submit(partial(forward, self._run, list(part)))).output for part in parts]
        logits, embeddings = ([getattr(output, name) for output in outputs] for name in ("logits", "embeddings"))
        return RunnerOutput(np.concatenate(logits), np.concatenate(embeddings))

    @property
    def backend(self) -> RemoteView | None:
        """How the backend does that answers in this lane's place, if one does."""
        return None if self._remote is None else self._remote.view()

    def stats(self) -> LaneStats:
        """A snapshot of queue and counts."""
        return LaneStats(
            version=self.version,
            held=self._holders,
            queued=len(self.batcher),
            running=self.batcher.running,
            answered=self._answered,
            failed=self._failed,
            cost=self.cost.line,
            retired=self.retired,
        )

    def bring_forward(self) -> Workers:
        """Compute on the foreground thread from now on: for callers who wait."""
        if self._foreground is None:
            self._foreground = Workers(1, "runner")
        return self._use(self._foreground)

    def bring_back(self) -> Workers:
        """Compute on the niced background thread from now on: for work that nobody waits for."""
        if self._background is None:
            self._background = background_workers(self._deference)
            # Its thread has not met the model yet.
            self._background.submit(partial(self.warm, ()))
        return self._use(self._background)

    def warm(self, buckets: Sequence[int]) -> dict[int, float]:
        """On one of the lane's threads: `Runner.warmup`, never beside a forward pass."""
        with self._exclusive, self.device.judged():
            seconds = self.runner.warmup(buckets)
        if isinstance(self.runner, EnsembleRunner):
            for cost, warm in zip(self._costs[1:], self.runner.seconds[1:], strict=True):
                for size in set(warm) & set(buckets):
                    cost.seed(size, warm[size])
        return seconds

    def touch(self, bucket: int) -> float:
        """On one of the lane's threads: run one batch of this size, checked; returns its seconds."""
        seconds = []
        for member, eye in enumerate(self._sight.eyes):
            blank = np.zeros((eye.size, eye.size, 3), np.uint8)
            seconds.append(forward(partial(self._run_member, member), [blank] * bucket).seconds)
            if member:
                self._costs[member].seed(bucket, seconds[-1])
        return seconds[0]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the lane from being taken down while a request may come to it."""
        self._holders += 1
        self._free.clear()
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._free.set()

    async def released(self) -> None:
        """Wait until nobody holds the lane."""
        await self._free.wait()

    async def close(self, error: EngineError, grace: float) -> bool:
        """Fail all that wait with `error`, end the threads, free the model; False if a thread outlives `grace`.

        A thread in a long call, such as a compilation, frees the model when that ends; one that hangs never does.
        """
        self.retired = True
        if self._remote is not None:
            self._remote.close(error)
        self._dispatcher.close(error)
        threads = [thread for thread in (self._background, self._foreground) if thread is not None]
        leave = _LastOneOut(self._runner, len(threads))
        self._runner = self._thread = self._foreground = self._background = None
        return all(await asyncio.gather(*(thread.stop(error, grace, last=leave) for thread in threads)))

    def _use(self, thread: Workers) -> Workers:
        if thread is not self._thread:
            self._thread = thread
            self._dispatcher.start(thread)
            if self._remote is not None:
                self._remote.start()
        return thread

    def _run(self, images: ImageArray) -> RunnerOutput:
        with self._exclusive, self.device.passing():
            return self.runner.run(images)

    def _run_member(self, member: int, images: ImageArray) -> RunnerOutput:
        first_answer = member == 0 and len(images) == 1  # a larger batch is run again one by one
        with self._exclusive, self.device.passing(weighed=first_answer):
            return members_of(self.runner)[member].run(images)


class _LastOneOut:
    """Each thread of a lane calls this as it exits; the last one frees the model."""

    def __init__(self, runner: object, threads: int) -> None:
        self._runner: object = runner
        self._threads = threads
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._threads -= 1
            if self._threads:
                return
        runner = self._runner
        self._runner = None
        if isinstance(runner, Closing):
            explained(runner.close)


def background_workers(deference: Deference) -> Workers:
    """One thread that steps aside for serving."""
    return Workers(1, "background", begin=deference.join)
