"""From the queue to the runner and back: one batch at a time on the runner thread, all decisions on the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import exp

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.batcher import Batcher, Ticket
from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.types import (
    DeadlineMissed,
    EngineError,
    ImageArray,
    RunnerFailure,
    RunnerOutput,
)
from streetvision.engine.workers import Workers

MISSED = "the deadline passed before the image was computed"
FAILED = "the model failed on this image"
TIMER_STEP = 0.0005
"""Seconds; a timer that fires a hair early must not spin."""

Run = Callable[[ImageArray], RunnerOutput]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """One row of a forward pass."""

    logit: float
    embedding: NDArray[np.float32]
    version: str
    batch_size: int
    seconds: float
    """Of the forward pass."""
    views: int = 1

    @property
    def probability(self) -> float:
        """The logit's sigmoid, stable for any finite logit: exp never sees a large positive number."""
        small = exp(-abs(self.logit))
        return 1 / (1 + small) if self.logit >= 0 else small / (1 + small)


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A decoded image and who waits for it."""

    image: ImageArray
    future: asyncio.Future[Answer]


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass that gave what it should."""

    output: RunnerOutput
    seconds: float


class Dispatcher:
    """Feeds one model from its batcher. A failed batch is run again one by one, so that only its culprit fails."""

    def __init__(
        self,
        run: Run,
        version: str,
        batcher: Batcher[Waiting],
        metrics: EngineMetrics,
        clock: Callable[[], float],
    ) -> None:
        """`run` is the lane's way to its runner: it outlives neither, so that nothing here keeps a model alive."""
        self._run = run
        self._version = version
        self._batcher = batcher
        self._metrics = metrics
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._closed: EngineError | None = None

    def start(self, thread: Workers) -> None:
        """Run batches on this thread from now on, on the present event loop; one that runs ends where it began."""
        self._loop = asyncio.get_running_loop()
        self._thread = thread

    async def infer(self, image: ImageArray, deadline: float, priority: float) -> Answer:
        """Queue a decoded image and wait for its row; raises EngineError. Leaves the queue when cancelled."""
        if self._closed is not None:
            raise self._closed
        waiting = Waiting(image, self._loop.create_future())
        ticket = self._batcher.offer(waiting, deadline=deadline, priority=priority, now=self._clock())
        try:
            self._pump()
            return await waiting.future
        finally:
            self._batcher.withdraw([ticket])

    def close(self, error: EngineError) -> None:
        """Fail all that wait or come later; the batch that runs fails through its thread."""
        self._closed = error
        for ticket in self._batcher.clear():
            _fail(ticket, error)
        self._arm(None, 0.0)

    def _pump(self) -> None:
        """Expire what is lost, start what can start, and wake when the next one would expire."""
        now = self._clock()
        for ticket in self._batcher.expire(now):
            _fail(ticket, RunnerFailure(FAILED) if ticket.solo else DeadlineMissed(MISSED))
        batch = self._batcher.next_batch(now)
        if batch:
            images = [ticket.item.image for ticket in batch]
            done = self._thread.submit(partial(forward, self._run, images))
            done.add_done_callback(partial(self._finish, batch))
        self._arm(self._batcher.next_expiry(now), now)

    def _arm(self, expiry: float | None, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if expiry is None else self._loop.call_later(max(TIMER_STEP, expiry - now), self._pump)

    def _finish(self, batch: Sequence[Ticket[Waiting]], done: asyncio.Future[Pass]) -> None:
        error = done.exception()
        self._batcher.finished(self._clock(), len(batch), done.result().seconds if error is None else None)
        if error is None:
            self._answer(batch, done.result())
        elif isinstance(error, RunnerFailure):
            self._retry(batch)
        else:
            for ticket in batch:
                _fail(ticket, error)
        self._pump()

    def _answer(self, batch: Sequence[Ticket[Waiting]], done: Pass) -> None:
        self._metrics.batch(len(batch))
        rows = zip(batch, done.output.logits, done.output.embeddings, strict=True)
        for ticket, logit, embedding in rows:
            if not ticket.item.future.done():
                answer = Answer(float(logit), embedding.copy(), self._version, len(batch), done.seconds)
                ticket.item.future.set_result(answer)

    def _retry(self, batch: Sequence[Ticket[Waiting]]) -> None:
        for ticket in batch:
            if len(batch) == 1:
                _fail(ticket, RunnerFailure(FAILED))
            elif not ticket.item.future.done():
                self._metrics.retried += 1
                self._batcher.retry_alone(ticket)


def forward(run: Run, images: Sequence[ImageArray]) -> Pass:
    """On the lane's thread: one pass over images [H, W, 3], checked; raises RunnerFailure and nothing else."""
    started = time.perf_counter()
    try:
        output = run(np.stack(images))
    except RunnerFailure as error:
        logger.error("the model failed on a batch of %d: %s", len(images), error)
        raise
    except Exception as error:
        logger.exception("the runner raised %s on a batch of %d", type(error).__name__, len(images))
        raise RunnerFailure(FAILED) from error
    if output.logits.shape != (len(images),) or output.embeddings.shape[:1] != (len(images),):
        logger.error("the runner answered %d images with logits of shape %s", len(images), output.logits.shape)
        raise RunnerFailure(f"the model answered {len(images)} images with logits of shape {list(output.logits.shape)}")
    if not (np.isfinite(output.logits).all() and np.isfinite(output.embeddings).all()):
        logger.error("the runner gave an answer that is not finite in a batch of %d", len(images))
        raise RunnerFailure("the model's answer is not finite")
    return Pass(output, time.perf_counter() - started)


def _fail(ticket: Ticket[Waiting], error: BaseException) -> None:
    if not ticket.item.future.done():
        ticket.item.future.set_exception(error)
