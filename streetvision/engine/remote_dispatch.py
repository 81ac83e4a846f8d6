"""Requests that a backend on other machines answers, with the embedded model of the same version behind it.

It stands before a lane's own dispatcher. A request goes out in a batch; the embedded model takes it over when the
backend fails, is later than its answers are, or will not leave enough time for the embedded model to answer instead.
Whoever answers first is believed. All of it runs on the event loop; only the transport waits for others.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import insort
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count
from random import random
from typing import Literal

from streetvision.engine.answers import Answer
from streetvision.engine.decode import DecodedImage
from streetvision.engine.dispatch import kept
from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.remote import RemoteEnd, RemoteView
from streetvision.engine.remote_health import RemoteHealth
from streetvision.engine.remote_policy import reaches, take_over_at
from streetvision.engine.remote_requests import Request, Send, fail, rank, stacked
from streetvision.engine.transport import (
    RemoteAnswer,
    RemoteBatch,
    RemoteFailure,
    RemoteTrouble,
    checked,
)
from streetvision.engine.types import EngineError, Overloaded

LOOK_AGAIN = 0.05
"""Seconds at most until what waits for the backend is compared with the embedded model's queue again."""

Embedded = Callable[[DecodedImage, float, float], Awaitable[Answer]]
Work = Callable[[float, int], float]
"""Seconds that the embedded model needs for all that it has and so many more, at a moment."""
Why = Literal["failed", "late", "deadline", "open"]
"""Why the embedded model takes a request over."""

logger = logging.getLogger(__name__)


class RemoteDispatcher:
    """Bound to the event loop that calls `start`."""

    def __init__(
        self,
        end: RemoteEnd,
        embedded: Embedded,
        work: Work,
        *,
        side: int,
        capacity: int,
        metrics: EngineMetrics,
        clock: Callable[[], float],
        draw: Callable[[], float] = random,
    ) -> None:
        """`side` is the model's input in pixels, for probes; `capacity` bounds the requests that wait here."""
        self._model, self._transport, self._policy = end.model, end.transport, end.policy
        self._health = RemoteHealth(
            end.model, end.transport, end.policy, side=side, metrics=metrics, clock=clock, draw=draw
        )
        self._embedded = embedded
        self._work = work
        self._capacity = capacity
        self._metrics = metrics
        self._clock = clock
        self._order = count()
        self._waiting: list[Request] = []
        """All that have no answer yet, the earliest deadline first."""
        self._queue: list[Request] = []
        """Of those, the ones that have not been sent."""
        self._sends: set[Send] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._pumping = False
        self._closed: EngineError | None = None
        self._answered = self._taken_over = 0

    def start(self) -> None:
        """Look for the backend, on the present event loop; once is enough."""
        self._loop = asyncio.get_running_loop()
        self._health.start()

    def view(self) -> RemoteView:
        """How things stand."""
        breaker = self._health.breaker
        failure = None if breaker.closed else self._health.failure
        return RemoteView(
            name=self._transport.name,
            state=breaker.state,
            since=breaker.since,
            trouble=None if failure is None else failure.trouble,
            why="" if failure is None else str(failure),
            answered=self._answered,
            embedded=self._taken_over,
            link=self._transport.link,
        )

    async def infer(self, image: DecodedImage, deadline: float, priority: float, key: str = "") -> Answer:
        """The backend's answer or the embedded model's; raises EngineError. Gives the picture up when cancelled."""
        if self._closed is not None:
            raise self._closed
        now = self._clock()
        if not (self._health.breaker.closed and self._reaches(now, deadline)):
            answer = await self._embedded(image, deadline, priority)
            self._taken_over += 1
            return answer
        if len(self._waiting) >= self._capacity:
            raise Overloaded("the queue is full")
        request = Request(image, deadline, priority, key, next(self._order), self._loop.create_future())
        insort(self._waiting, request, key=rank)
        insort(self._queue, request, key=rank)
        self._pump_soon()
        try:
            return await request.future
        finally:
            self._leave(request)

    def close(self, error: EngineError) -> None:
        """Fail all that wait, and let go of what is on its way."""
        self._closed = error
        for request in list(self._waiting):
            fail(request, error)
        self._health.close()
        for task in list(self._tasks):
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def _reaches(self, now: float, deadline: float) -> bool:
        n = min(self._policy.largest, len(self._queue) + 1)
        return reaches(
            now, deadline, self._health.latencies.expected(n), self._work(now, len(self._waiting) + 1), self._policy
        )

    def _pump_soon(self) -> None:
        """Once for all requests of one turn of the loop: they travel together."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if self._closed is not None:
            return
        if not self._health.breaker.closed:
            for request in list(self._queue):
                self._lose(request, "open")
        while self._queue and self._on_time < self._health.window.size:
            self._depart()
        self._watch_deadlines()

    @property
    def _on_time(self) -> int:
        """Batches on their way; a late one holds no place any more."""
        return sum(not send.late for send in self._sends)

    def _depart(self) -> None:
        """Send a batch of the most urgent ones that can be answered there in time; what cannot is computed here."""
        now, n = self._clock(), min(self._policy.largest, len(self._queue))
        arrives = now + (self._health.latencies.expected(n) or 0.0)
        for request in [request for request in self._queue if request.deadline <= arrives]:
            self._take_over(request, "deadline")
        requests = self._queue[:n]
        if not requests:
            return
        del self._queue[: len(requests)]
        send = Send(requests, now)
        for request in requests:
            request.send = send
        self._sends.add(send)
        send.timer = self._loop.call_later(self._health.latencies.patience(len(requests)), self._late, send)
        send.task = self._keep(self._deliver(send))

    async def _deliver(self, send: Send) -> None:
        try:
            batch = self._batch(send.callers, send.started)
            answer = checked(batch, await self._transport.send(batch))
            self._health.answered_at = self._clock()
        except RemoteFailure as failure:
            self._settle_failure(send, failure)
        except Exception as error:  # a defect of a transport must not cost an answer
            logger.exception("the backend's transport failed")
            self._settle_failure(send, RemoteFailure(RemoteTrouble.FAILED, f"the transport raised {error!r}"))
        else:
            if not send.late:
                self._health.answered(len(send.callers), self._clock() - send.started)
            self._answer(send, answer)
        finally:
            self._end(send)

    def _batch(self, requests: Sequence[Request], now: float) -> RemoteBatch:
        return RemoteBatch(
            model=self._model,
            images=stacked([request.image.array for request in requests]),
            seconds=tuple(request.deadline - now for request in requests),
            priorities=tuple(request.priority for request in requests),
            keys=tuple(request.key for request in requests),
        )

    def _answer(self, send: Send, answer: RemoteAnswer) -> None:
        requests = send.callers
        told = (self._model.version, len(requests), answer.inference)
        if answer.refused:
            refused = RemoteFailure(RemoteTrouble.OVERLOADED, f"{len(answer.refused)} pictures were refused")
            self._health.blame(refused, send.started)
        for row, (request, logit, embedding) in enumerate(zip(requests, answer.logits, answer.embeddings, strict=True)):
            if row in answer.refused:
                self._lose(request, "failed")
            elif not request.future.done():
                self._answered += 1
                request.future.set_result(Answer(float(logit), kept(embedding), *told, served_by=self._transport.name))

    def _late(self, send: Send) -> None:
        """Its answer is still welcome; until then it counts as a failure that took that long at least."""
        send.late = True
        for request in send.callers:
            self._take_over(request, "late")
        if self._health.late(len(send.callers), send.started):
            self._give_up()
        self._pump_soon()

    def _settle_failure(self, send: Send, failure: RemoteFailure) -> None:
        for request in send.callers:
            self._lose(request, "failed")
        if not send.late and self._health.blame(failure, send.started):
            self._give_up()

    def _give_up(self) -> None:
        """Expect nothing any more of what is on its way."""
        for request in [request for send in self._sends for request in send.callers]:
            self._take_over(request, "open")

    def _end(self, send: Send) -> None:
        self._sends.discard(send)
        if send.timer is not None:
            send.timer.cancel()
        self._pump_soon()

    def _watch_deadlines(self) -> None:
        """Let the embedded model begin with the earliest deadline as long as all that wait would make it late."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        alone = [request for request in self._waiting if request.embedded is None]
        now = self._clock()
        for request in alone:
            moment = take_over_at(request.deadline, self._work(now, len(alone)), self._policy)
            if moment > now:
                self._timer = self._loop.call_later(min(LOOK_AGAIN, moment - now), self._pump)
                return
            self._take_over(request, "deadline")
            if request.send is not None and self._is_due(request.send, now):
                self._late(request.send)

    def _is_due(self, send: Send, now: float) -> bool:
        """Whether a batch takes longer than batches of its size do."""
        expected = self._health.latencies.expected(len(send.callers))
        return not send.late and expected is not None and now - send.started > expected

    def _lose(self, request: Request, why: Why) -> None:
        """The backend will not answer it."""
        request.lost = True
        if request.refusal is not None:
            fail(request, request.refusal)
        else:
            self._take_over(request, why)

    def _take_over(self, request: Request, why: Why) -> None:
        if request.embedded is None and not request.future.done():
            if request.send is None:
                request.lost = True
                self._queue.remove(request)
            self._metrics.take_over(why)
            request.embedded = self._keep(self._ask_embedded(request))

    async def _ask_embedded(self, request: Request) -> None:
        try:
            answer = await self._embedded(request.image, request.deadline, request.priority)
        except EngineError as error:
            request.refusal = error
            if request.lost:
                fail(request, error)
        else:
            if not request.future.done():
                self._taken_over += 1
                request.future.set_result(answer)

    def _leave(self, request: Request) -> None:
        """It is answered, or nobody waits for it any more."""
        self._waiting.remove(request)
        with suppress(ValueError):
            self._queue.remove(request)
        if request.embedded is not None:
            request.embedded.cancel()
        send = request.send
        if send is not None and send.task is not None and all(one.future.done() for one in send.callers):
            send.task.cancel()

    def _keep(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
