"""One request's way through the lanes, the canary's failure included, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from streetvision.engine.answers import Answer
from streetvision.engine.comparisons import Comparisons, Glance
from streetvision.engine.decode_queue import DecodeQueue, Taken
from streetvision.engine.dispatch import MISSED
from streetvision.engine.lanes import Lane
from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.outcomes import Listeners, answered, failed
from streetvision.engine.routing import Route
from streetvision.engine.types import DeadlineMissed, EngineError, Overloaded, Prediction, Role, Timings

CANARY_PATIENCE = 0.5
"""Share of the time left that a canary may take; the rest is for the active lane, should it fail or hang."""


@dataclass(slots=True)
class PredictRequest:
    """What a caller wants, and by when."""

    jpeg: bytes
    deadline: float
    priority: float
    began: float
    key: str = ""
    """sha256 of the image in hexadecimal, once it is known and if anybody wants it."""
    fell_back: bool = False
    """Whether a canary failed on it."""


class Answering:
    """Admission, decoding, inference; the outcome to the listeners; what is to be looked at again later."""

    def __init__(
        self,
        decode_queue: DecodeQueue,
        comparisons: Comparisons,
        listeners: Listeners,
        metrics: EngineMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._decode_queue = decode_queue
        self._comparisons = comparisons
        self._listeners = listeners
        self._metrics = metrics
        self._clock = clock

    async def answer(self, request: PredictRequest, route: Route) -> Prediction:
        """The prediction, or an EngineError; ValueError when the priority is not finite."""
        with route.held():
            try:
                taken, answer = await self._in_time(request, route)
            except EngineError as error:
                self._tell_of_failure(request, route, error)
                raise
        total = self._clock() - request.began
        self._follow_up(request, route, taken, answer, total)
        prediction = _prediction(taken, answer, total)
        self._metrics.answer(prediction)
        return prediction

    async def _in_time(self, request: PredictRequest, route: Route) -> tuple[Taken, Answer]:
        self._decode_queue.admit(route.active, request.deadline, request.began)
        keyed = bool(self._listeners) or route.canary is not None or route.shadow is not None
        try:
            async with asyncio.timeout(request.deadline - request.began):
                taken = await self._decode_queue.take(request.jpeg, route, request.deadline, keyed=keyed)
                request.key = taken.key
                return await self._infer(request, route, taken)
        except TimeoutError:
            raise DeadlineMissed(MISSED) from None

    async def _infer(self, request: PredictRequest, route: Route, taken: Taken) -> tuple[Taken, Answer]:
        if taken.lane is route.canary:
            answer = await self._try_canary(request, taken)
            if answer is not None:
                return taken, answer
            taken = await self._taken_for(request, taken, route.active)
        return taken, await taken.lane.infer(taken.image, request.deadline, request.priority, taken.key)

    async def _try_canary(self, request: PredictRequest, taken: Taken) -> Answer | None:
        now = self._clock()
        patience = CANARY_PATIENCE * (request.deadline - now)
        error: EngineError = DeadlineMissed(MISSED)
        try:
            async with asyncio.timeout(patience):
                return await taken.lane.infer(taken.image, now + patience, request.priority, taken.key)
        except EngineError as caught:
            error = caught
        except TimeoutError:
            pass
        request.fell_back = True
        self._metrics.fall_back()
        self._tell(request, Role.CANARY, taken.lane, error)
        return None

    async def _taken_for(self, request: PredictRequest, taken: Taken, lane: Lane) -> Taken:
        if lane.geometry == taken.lane.geometry:
            return replace(taken, lane=lane)
        return replace(taken, lane=lane, image=await self._decode_queue.decode(request.jpeg, lane, request.deadline))

    def _tell_of_failure(self, request: PredictRequest, route: Route, error: EngineError) -> None:
        """The time that a canary wasted is not the active lane's fault, and the canary's failure was told already."""
        if not (request.fell_back and isinstance(error, DeadlineMissed | Overloaded)):
            self._tell(request, Role.ACTIVE, route.active, error)

    def _tell(self, request: PredictRequest, role: Role, lane: Lane, error: EngineError) -> None:
        if self._listeners:
            now = self._clock()
            seconds, headroom = now - request.began, request.deadline - now
            self._listeners.tell(failed(role, lane.version, error, key=request.key, seconds=seconds, headroom=headroom))

    def _follow_up(self, request: PredictRequest, route: Route, taken: Taken, answer: Answer, total: float) -> None:
        """Tell the listeners, and look again where a canary or a shadow is to be judged."""
        role = route.role(taken.lane)
        judge = route.active if role is Role.CANARY else route.shadow_for(taken.key)
        if judge is None and not self._listeners:
            return
        headroom = request.deadline - request.began - total
        outcome = answered(role, answer, key=taken.key, seconds=total, headroom=headroom)
        self._listeners.tell(outcome)
        if judge is not None:
            self._comparisons.offer(Glance(request.jpeg, judge, outcome))


def _prediction(taken: Taken, answer: Answer, total: float) -> Prediction:
    waited = max(0.0, total - taken.seconds - answer.seconds)
    return Prediction(
        probability=answer.probability,
        logit=answer.logit,
        embedding=answer.embedding,
        model_version=answer.version,
        views=answer.views,
        batch_size=answer.batch_size,
        width=taken.image.width,
        height=taken.image.height,
        timings=Timings(decode=taken.seconds, queue=waited, inference=answer.seconds),
        decoded=taken.image.decoded,
        members=answer.members,
        router=answer.router,
        served_by=answer.served_by,
    )
