"""Answers in hand and the passes that improve them: what the planner decides, done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from streetvision.engine.answers import Answer, Pass, Waiting
from streetvision.engine.batcher import Batcher
from streetvision.engine.cost import CostModel
from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.planner import Chunk, ViewPlanner
from streetvision.engine.types import ImageArray, RunnerFailure
from streetvision.engine.views import ViewPass, member_means
from streetvision.models.router import RouterOutcome

MAX_BYTES = 128 * 2**20
"""Pixels of further views that may wait in one lane; beyond it requests are decoded for one view."""
MAX_DECODE_SECONDS = 0.5
"""Longest that one request's further views may hold a decode thread, by the estimate of PIXEL_SECONDS."""
DECODE_SHARE = 0.25
"""Part of the time left that may go into decoding them."""
PIXEL_SECONDS = 1e-8
"""What one more frame costs for each pixel of the picture, at most: another JPEG scale, or a resize of a large PNG."""


Combine = Callable[[Sequence[float], Sequence[ViewPass]], float]
"""What the logits of a picture's first passes come to."""


@dataclass(slots=True, eq=False)
class Held:
    """An answer in hand, and the logits of its passes so far."""

    waiting: Waiting
    answer: Answer
    logits: list[float]
    seconds: list[float] = field(default_factory=list)
    failed: bool = False
    """Whether a further pass failed."""

    def settle(self, combine: Combine) -> None:
        """Answer the caller with what all passes so far come to."""
        if self.waiting.future.done():
            return
        passes = self.waiting.passes[: len(self.logits)]
        answer = replace(
            self.answer,
            logit=combine(self.logits, passes) if len(passes) > 1 else self.logits[0],
            views=len(self.logits),
            seconds=self.answer.seconds + sum(self.seconds),
            members=member_means(self.logits, passes),
            router=None if self.answer.router is None else self._outcome(),
        )
        self.waiting.future.set_result(answer)

    def _outcome(self) -> RouterOutcome:
        if len(self.logits) > 1:
            return RouterOutcome.ASKED
        return RouterOutcome.FAILED if self.failed else RouterOutcome.NO_TIME


class ViewImprover:
    """The answers in hand of one lane. Its dispatcher asks it what to run and when to let an answer go."""

    def __init__(
        self,
        costs: Sequence[CostModel],
        batcher: Batcher[Waiting],
        metrics: EngineMetrics,
        *,
        combine: Combine,
        max_seconds: float,
        coming: Callable[[], Sequence[float]],
    ) -> None:
        """`costs` has one model a member; `coming` gives the deadlines of what is being decoded, ascending."""
        self._combine = combine
        self._planner: ViewPlanner[Held] = ViewPlanner(costs, max_seconds=max_seconds)
        self._batcher = batcher
        self._metrics = metrics
        self._coming = coming
        self._bytes = 0

    def affordable(self, passes: Sequence[ViewPass], pixels: int, now: float, deadline: float) -> Sequence[ViewPass]:
        """The first of these passes over a picture of so many pixels that are worth decoding now.

        Called in a decode thread; it changes nothing.
        """
        coming = max(0, len(self._coming()) - 1)
        others = len(self._batcher) + self._batcher.running + len(self._planner) + coming
        work = self._batcher.work(now, coming)
        allowance = self._planner.allowance(now, deadline, work=work, others=others)
        count = allowance.passes([viewed.member for viewed in passes])
        room = MAX_BYTES - self._bytes
        spare = min(MAX_DECODE_SECONDS, DECODE_SHARE * (deadline - now))
        while count > 1 and (_pixel_bytes(passes[:count]) > room or _decode_seconds(passes[:count], pixels) > spare):
            count -= 1
        return passes[:count]

    def reserve(self, waiting: Waiting) -> None:
        """Count the pixels of a request that comes; `free` it when it has ended."""
        self._bytes += _pixel_bytes(waiting.passes)

    def free(self, waiting: Waiting) -> None:
        """The request has ended, answered or not."""
        self._bytes -= _pixel_bytes(waiting.passes)

    def take(self, waiting: Waiting, answer: Answer, deadline: float, now: float) -> None:
        """A request has its first answer."""
        held = Held(waiting, answer, [answer.logit])
        self._planner.add(held, [viewed.member for viewed in waiting.passes[1:]], deadline=deadline, now=now)

    def give_way(self, seconds: float) -> None:
        """A batch of first passes had the runner for so long."""
        self._planner.give_way(seconds)

    def release(self, now: float) -> None:
        """Answer whom no further view can help in time, and forget whose caller has gone."""
        if len(self._planner):
            self._planner.drop(lambda held: held.waiting.future.done())
            for improving in self._planner.ready(now, self._batcher.work(now, len(self._coming()))):
                improving.item.settle(self._combine)

    def next_chunk(self, now: float) -> Chunk[Held] | None:
        """What an idle runner does next, without making what is being decoded late."""
        return self._planner.next_chunk(now, self._by(now)) if len(self._planner) else None

    def next_release(self) -> float | None:
        """When the next answer in hand must leave."""
        return self._planner.next_ready()

    def finish(self, chunk: Chunk[Held], done: asyncio.Future[Pass], now: float) -> None:
        """A chunk has ended: its logits join the answers; a failed one ends the views of its requests."""
        error = done.exception()
        if error is None:
            result = done.result()
            for (improving, _), logit in zip(chunk.rows, result.output.logits, strict=True):
                improving.item.logits.append(float(logit))
            for held in dict.fromkeys(improving.item for improving, _ in chunk.rows):
                held.seconds.append(result.seconds)
        elif isinstance(error, RunnerFailure):
            self._metrics.fail_views()
            for improving, _ in chunk.rows:
                improving.item.failed = True
        self._planner.finished(chunk, now, None if error is not None else done.result().seconds)

    def clear(self) -> None:
        """Answer everybody with what is in hand."""
        for improving in self._planner.clear():
            improving.item.settle(self._combine)

    def _by(self, now: float) -> float:
        """The latest end of a chunk that leaves time for the first pass of whatever is being decoded."""
        first = self._batcher.cost.predict(1) * 2
        return min((deadline - first for deadline in self._coming() if deadline - first > now), default=inf)


def images_of(chunk: Chunk[Held]) -> list[ImageArray]:
    """The pixels of a chunk's rows, uint8 [H, W, 3] each."""
    return [improving.item.waiting.others[place] for improving, place in chunk.rows]


def _decode_seconds(passes: Sequence[ViewPass], pixels: int) -> float:
    """An estimate from above; looks that differ in their flip alone cost nothing."""
    return PIXEL_SECONDS * pixels * (len({viewed.look.frame for viewed in passes}) - 1)


def _pixel_bytes(passes: Sequence[ViewPass]) -> int:
    return sum(3 * viewed.look.frame.size**2 for viewed in passes[1:])
