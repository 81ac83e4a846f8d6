"""The way of an image: admit, decode in a thread, queue, run in a batch, answer. The event loop is never blocked."""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import exp, isfinite

from prometheus_client import CollectorRegistry

from streetvision.engine.batcher import Batcher
from streetvision.engine.cost import CostModel
from streetvision.engine.decode import DecodedImage, DecodeLimits, decode, resize_rule
from streetvision.engine.dispatch import MISSED, Answer, Dispatcher, Waiting
from streetvision.engine.metrics import EngineMetrics, EngineStats
from streetvision.engine.types import (
    DeadlineMissed,
    EngineClosed,
    EngineError,
    Overloaded,
    Prediction,
    Runner,
    RunnerFailure,
    Timings,
)
from streetvision.engine.workers import Workers
from streetvision.errors import OperatorError

DECODE_MEMORY = 0.1
"""Weight of the newest image in the average decode time."""
SHUTTING_DOWN = "the miner is shutting down"

logger = logging.getLogger(__name__)


class Engine:
    """Answers images within their deadlines; one instance owns one runner, its thread and the decode threads.

    Bound to the event loop that calls `start`. Deadlines are seconds on `clock`.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        resize: str = "squash",
        limits: DecodeLimits | None = None,
        queue_size: int = 256,
        decode_threads: int = 2,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`resize` is the checkpoint's rule; `queue_size` bounds all that waits, decoded or not."""
        if queue_size < 1 or decode_threads < 1:
            raise ValueError("queue_size and decode_threads must be at least 1")
        self._runner = runner
        self._threads: list[Workers] = []
        self._resize = resize_rule(resize)
        self._limits = limits or DecodeLimits()
        self._decode_threads = decode_threads
        self._clock = clock
        self._cost = CostModel(runner.buckets)
        self._batcher: Batcher[Waiting] = Batcher(self._cost, capacity=queue_size)
        self._metrics = EngineMetrics(
            registry or CollectorRegistry(),
            runner.buckets,
            waiting=lambda: len(self._undecoded) + len(self._batcher),
            running=lambda: self._batcher.running,
        )
        self._dispatcher = Dispatcher(runner, self._batcher, self._metrics, clock)
        self._undecoded: list[float] = []
        self._decode_seconds = 0.0
        self._pending = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed: str | None = "the engine has not started"

    async def start(self) -> None:
        """Warm the runner up, learn what its buckets cost, and admit; raises RunnerFailure or OperatorError."""
        self._decoders = Workers(self._decode_threads, "decode")
        run_thread = Workers(1, "runner")
        self._threads = [self._decoders, run_thread]
        self._dispatcher.start(run_thread)
        try:
            await run_thread.submit(self._warm_up)
        except (EngineError, OperatorError):
            await self.close()
            raise
        self._closed = None

    async def predict(self, jpeg: bytes, *, deadline: float, priority: float) -> Prediction:
        """Decode and classify one image before `deadline`; among equal deadlines the higher `priority` goes first.

        Raises BadImage, Overloaded, DeadlineMissed, EngineClosed or RunnerFailure, and ValueError when deadline or
        priority is not finite. A cancelled call leaves the queue.
        """
        with self._accounted():
            began = self._clock()
            self._admit(deadline, began)
            try:
                async with asyncio.timeout(deadline - began):
                    decoded, seconds = await self._decode(jpeg, deadline)
                    # The megabytes need not wait for the answer too.
                    del jpeg
                    answer = await self._dispatcher.infer(decoded.array, deadline, priority)
            except TimeoutError:
                raise DeadlineMissed(MISSED) from None
            prediction = _prediction(decoded, answer, seconds, self._clock() - began)
            self._metrics.answer(prediction.timings)
            return prediction

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - running out of time is an answer here
        """Admit nobody more and wait until all are answered; False if some are not after `timeout` seconds."""
        self._closed = SHUTTING_DOWN
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except TimeoutError:
            return False
        return True

    async def close(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - it bounds one of several steps
        """Refuse all that wait and end the threads; a forward pass still running after `timeout` is left behind."""
        self._closed = SHUTTING_DOWN
        closed = EngineClosed(SHUTTING_DOWN)
        self._dispatcher.close(closed)
        ended = await asyncio.gather(*(workers.stop(closed, timeout) for workers in self._threads))
        if not all(ended):
            logger.warning("a thread did not end within %.1f s and is left behind", timeout)

    def stats(self) -> EngineStats:
        """A snapshot of queues and counts."""
        return self._metrics.snapshot(
            decoding=len(self._undecoded),
            queued=len(self._batcher),
            running=self._batcher.running,
            cost=self._cost.line,
        )

    @contextmanager
    def _accounted(self) -> Iterator[None]:
        self._pending += 1
        self._idle.clear()
        try:
            yield
        except EngineError as refusal:
            self._metrics.refuse(refusal.reason)
            raise
        except asyncio.CancelledError:
            self._metrics.cancelled += 1
            raise
        finally:
            self._pending -= 1
            if not self._pending:
                self._idle.set()

    def _admit(self, deadline: float, now: float) -> None:
        if not isfinite(deadline):
            raise ValueError("the deadline must be finite")
        if self._closed is not None:
            raise EngineClosed(self._closed)
        if deadline <= now:
            raise DeadlineMissed(MISSED)
        ahead = bisect_right(self._undecoded, deadline)
        # Only the wait counts, not the decode itself: one slow decode must not make the engine refuse for ever.
        delay = self._decode_seconds * (ahead // self._decode_threads)
        self._batcher.admit(now, deadline, ahead=ahead, behind=len(self._undecoded) - ahead, delay=delay)

    async def _decode(self, jpeg: bytes, deadline: float) -> tuple[DecodedImage, float]:
        insort(self._undecoded, deadline)
        try:
            job = partial(self._decode_in_thread, jpeg, deadline)
            decoded, seconds = await self._decoders.submit(job, urgency=deadline)
        finally:
            self._undecoded.remove(deadline)
        self._decode_seconds += DECODE_MEMORY * (seconds - self._decode_seconds)
        return decoded, seconds

    def _decode_in_thread(self, jpeg: bytes, deadline: float) -> tuple[DecodedImage, float]:
        if self._clock() >= deadline:
            raise DeadlineMissed(MISSED)
        started = time.perf_counter()
        try:
            decoded = decode(jpeg, size=self._runner.input_size, limits=self._limits, resize=self._resize)
        except MemoryError as error:
            raise Overloaded("there is no memory for this image now") from error
        return decoded, time.perf_counter() - started

    def _warm_up(self) -> None:
        """On the runner thread, as is every later call of the runner."""
        try:
            for size, seconds in self._runner.warmup(self._runner.buckets).items():
                self._cost.seed(size, seconds)
        except (EngineError, OperatorError):
            raise
        except Exception as error:
            logger.exception("the runner raised %s while warming up", type(error).__name__)
            raise RunnerFailure("the model failed while warming up") from error


def _prediction(decoded: DecodedImage, answer: Answer, decode_seconds: float, total: float) -> Prediction:
    waited = max(0.0, total - decode_seconds - answer.seconds)
    return Prediction(
        probability=_sigmoid(answer.logit),
        logit=answer.logit,
        embedding=answer.embedding,
        model_version=answer.version,
        views=1,
        batch_size=answer.batch_size,
        width=decoded.width,
        height=decoded.height,
        timings=Timings(decode=decode_seconds, queue=waited, inference=answer.seconds),
    )


def _sigmoid(logit: float) -> float:
    """Stable for any finite logit: exp never sees a large positive number."""
    small = exp(-abs(logit))
    return 1 / (1 + small) if logit >= 0 else small / (1 + small)
