"""From the queue to the runner and back: one batch at a time on the runner thread, all decisions on the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.answers import Answer, Pass, Waiting
from streetvision.engine.batcher import Batcher, Ticket
from streetvision.engine.decode import DecodedImage
from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.planner import Chunk
from streetvision.engine.router import Router
from streetvision.engine.types import (
    DeadlineMissed,
    DeviceLost,
    EngineError,
    ImageArray,
    RunnerFailure,
    RunnerOutput,
)
from streetvision.engine.view_improver import Held, ViewImprover, images_of
from streetvision.engine.workers import Workers
from streetvision.models.router import RouterOutcome

MISSED = "the deadline passed before the image was computed"
FAILED = "the model failed on this image"
TIMER_STEP = 0.0005
"""Seconds; a timer that fires a hair early must not spin."""

Run = Callable[[ImageArray], RunnerOutput]
RunMember = Callable[[int, ImageArray], RunnerOutput]
"""One member of an ensemble, by its place; a model by itself has the place 0."""

logger = logging.getLogger(__name__)


class Dispatcher:
    """Feeds one model from its batcher. A failed batch is run again one by one, so that only its culprit fails.

    Where nobody waits, the requests that have their first answer get their further views; where there is a router, only
    those for which it asks.
    """

    def __init__(
        self,
        run: RunMember,
        version: str,
        batcher: Batcher[Waiting],
        improver: ViewImprover,
        *,
        router: Router | None,
        metrics: EngineMetrics,
        clock: Callable[[], float],
    ) -> None:
        """`run` is the lane's way to its runner: it outlives neither, so that nothing here keeps a model alive."""
        self._run = run
        self._version = version
        self._batcher = batcher
        self._improver = improver
        self._router = router
        self._metrics = metrics
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._closed: EngineError | None = None

    def start(self, thread: Workers) -> None:
        """Run batches on this thread from now on, on the present event loop; one that runs ends where it began."""
        self._loop = asyncio.get_running_loop()
        self._thread = thread

    async def infer(self, image: DecodedImage, deadline: float, priority: float) -> Answer:
        """Queue a decoded image and wait for its row; raises EngineError. Leaves the queue when cancelled."""
        if self._closed is not None:
            raise self._closed
        waiting = Waiting(image.array, self._loop.create_future(), image.others, image.passes)
        ticket = self._batcher.offer(waiting, deadline=deadline, priority=priority, now=self._clock())
        self._improver.reserve(waiting)
        try:
            self._pump()
            return await waiting.future
        finally:
            self._batcher.withdraw([ticket])
            self._improver.free(waiting)

    def close(self, error: EngineError) -> None:
        """Fail all that wait or come later; the batch that runs fails through its thread."""
        self._closed = error
        for ticket in self._batcher.clear():
            _fail(ticket, error)
        self._improver.clear()
        self._arm(None, 0.0)

    def _pump(self) -> None:
        """Expire what is lost, start what can start, and wake when the next one would expire."""
        now = self._clock()
        for ticket in self._batcher.expire(now):
            _fail(ticket, RunnerFailure(FAILED) if ticket.solo else DeadlineMissed(MISSED))
        batch = self._batcher.next_batch(now)
        if batch:
            images = [ticket.item.image for ticket in batch]
            self._start(0, images, partial(self._finish, batch), self._router)
        self._improver.release(now)
        if not self._batcher.busy:
            self._improve(now)
        self._arm(_earlier(self._batcher.next_expiry(now), self._improver.next_release()), now)

    def _improve(self, now: float) -> None:
        chunk = self._improver.next_chunk(now)
        if chunk is not None:
            self._batcher.occupy(now, chunk.seconds)
            self._start(chunk.member, images_of(chunk), partial(self._finish_chunk, chunk))

    def _start(
        self,
        member: int,
        images: Sequence[ImageArray],
        finish: Callable[[asyncio.Future[Pass]], None],
        router: Router | None = None,
    ) -> None:
        self._thread.submit(partial(forward, partial(self._run, member), images, router)).add_done_callback(finish)

    def _arm(self, moment: float | None, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if moment is None else self._loop.call_later(max(TIMER_STEP, moment - now), self._pump)

    def _finish(self, batch: Sequence[Ticket[Waiting]], done: asyncio.Future[Pass]) -> None:
        error = done.exception()
        self._batcher.finished(self._clock(), len(batch), done.result().seconds if error is None else None)
        if error is None:
            self._improver.give_way(done.result().seconds)
            self._answer(batch, done.result())
        elif isinstance(error, RunnerFailure) and not isinstance(error, DeviceLost):
            self._retry(batch)
        else:
            for ticket in batch:
                _fail(ticket, error)
        self._pump()

    def _finish_chunk(self, chunk: Chunk[Held], done: asyncio.Future[Pass]) -> None:
        now = self._clock()
        self._batcher.finished(now)
        self._improver.finish(chunk, done, now)
        self._pump()

    def _answer(self, batch: Sequence[Ticket[Waiting]], done: Pass) -> None:
        self._metrics.batch(len(batch), done.seconds)
        now = self._clock()
        outcomes = _outcomes(done)
        rows = zip(batch, done.output.logits, done.output.embeddings, outcomes, strict=True)
        for ticket, logit, embedding, outcome in rows:
            waiting = ticket.item
            if not waiting.future.done():
                members = (float(logit),) if waiting.passes else ()
                told = (self._version, len(batch), done.seconds, 1, members, outcome)
                answer = Answer(float(logit), kept(embedding), *told)
                if len(waiting.passes) > 1 and outcome is not RouterOutcome.SURE and self._closed is None:
                    self._improver.take(waiting, answer, ticket.deadline, now)
                else:
                    waiting.future.set_result(answer)

    def _retry(self, batch: Sequence[Ticket[Waiting]]) -> None:
        for ticket in batch:
            if len(batch) == 1:
                _fail(ticket, RunnerFailure(FAILED))
            elif not ticket.item.future.done():
                self._metrics.retried += 1
                self._batcher.retry_alone(ticket)


def forward(run: Run, images: Sequence[ImageArray], router: Router | None = None) -> Pass:
    """On the lane's thread: one pass over images [H, W, 3], checked; raises RunnerFailure and nothing else.

    `router` looks at the output too, where it is the first member's.
    """
    started = time.perf_counter()
    try:
        output = run(np.stack(images))
    except RunnerFailure as error:
        logger.error("the model failed on a batch of %d: %s", len(images), error)
        raise
    except BaseException as error:  # an exit or a panic of native code too: the thread goes on
        logger.exception("the runner raised %s on a batch of %d", type(error).__name__, len(images))
        raise RunnerFailure(FAILED) from error
    if output.logits.shape != (len(images),) or output.embeddings.shape[:1] != (len(images),):
        logger.error("the runner answered %d images with logits of shape %s", len(images), output.logits.shape)
        raise RunnerFailure(f"the model answered {len(images)} images with logits of shape {list(output.logits.shape)}")
    if not (np.isfinite(output.logits).all() and np.isfinite(output.embeddings).all()):
        logger.error("the runner gave an answer that is not finite in a batch of %d", len(images))
        raise RunnerFailure("the model's answer is not finite")
    asked = None if router is None else router.asks(output)
    return Pass(output, time.perf_counter() - started, asked)


def _outcomes(done: Pass) -> Sequence[RouterOutcome | None]:
    """What each row's answer is to the router, should no second member answer."""
    if done.asked is None:
        return (None,) * len(done.output.logits)
    return [RouterOutcome.NO_TIME if asked else RouterOutcome.SURE for asked in done.asked.tolist()]


def kept(row: NDArray[np.float32]) -> NDArray[np.float32]:
    """A row that does not keep its batch alive, read-only. NumPy's own copy would give up the interpreter's lock."""
    return np.frombuffer(row.tobytes(), row.dtype)


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _fail(ticket: Ticket[Waiting], error: BaseException) -> None:
    if not ticket.item.future.done():
        ticket.item.future.set_exception(error)
