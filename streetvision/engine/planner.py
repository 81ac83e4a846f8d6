"""How many views a request gets: pure planning of the passes after the first, told the time by its caller.

The first pass of a request is the batcher's affair and always goes first. After it the request has an answer in hand;
here it waits to be improved, view by view in declared order, until its time for that is used up, until others need the
runner for too long, or until it has seen everything. Passes run in chunks short enough that a new arrival hardly
waits, and an answer in hand is never kept beyond its deadline, however long a chunk takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from math import inf
from typing import Generic, TypeVar

from streetvision.engine.batcher import NEAR
from streetvision.engine.cost import CostModel

T = TypeVar("T")

CHUNK_SECONDS = 0.2
"""Longest that a chunk of views may hold the runner, unless one image alone takes longer."""
MARGIN = 0.1
"""Seconds before its deadline at which an answer in hand leaves: a busy event loop may be late by some of them."""
PATIENCE = 0.25
"""Part of the time for views that a request waits for others' first passes: when they need more, there is load."""
STALE_AFTER = 5.0
"""Seconds after which a member's last time is forgotten and its least hoped for: one slow spell must not end views."""


@dataclass(slots=True, eq=False)
class Improving(Generic[T]):
    """A request that has an answer in hand."""

    item: T
    members: tuple[int, ...]
    """The member of each further pass, in order."""
    until: float
    """When it is answered, whatever has been reached."""
    done: int = 0
    """Further passes that it has had."""
    waited: float = 0.0
    """Seconds for which others had the runner since its last pass."""
    flying: bool = False
    """In the chunk that runs now."""

    def run(self) -> int:
        """How many of its next passes are over one member."""
        first = self.members[self.done]
        return sum(1 for _ in takewhile(lambda member: member == first, self.members[self.done :]))


@dataclass(frozen=True, slots=True)
class Chunk(Generic[T]):
    """Rows of one forward pass over one member: a request, and which of its further passes."""

    member: int
    rows: tuple[tuple[Improving[T], int], ...]
    seconds: float
    """Predicted."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one request may spend on views: decided before it is decoded, applied once its size is known."""

    seconds: float
    row_seconds: tuple[float, ...]
    """Seconds of one image in a good batch, by member."""

    def passes(self, members: Sequence[int]) -> int:
        """How many of these passes are worth preparing; the first always is."""
        spent = 0.0
        for place, member in enumerate(members[1:], start=1):
            spent += self.row_seconds[member]
            if spent > self.seconds:
                return place
        return len(members)


class ViewPlanner(Generic[T]):
    """The requests that are being improved. Not thread-safe: one event loop owns it."""

    def __init__(
        self,
        costs: Sequence[CostModel],
        *,
        max_seconds: float,
        chunk_seconds: float = CHUNK_SECONDS,
        safety: float = 1.1,
    ) -> None:
        """`costs` has one model a member; `max_seconds` bounds the time that a request waits for its further views.

        Infinity is for work that nobody waits for: then only its deadline bounds it, and others cost it no view.
        """
        self._costs = tuple(costs)
        self._max_seconds = max_seconds
        self._patience = PATIENCE * max_seconds
        self._chunk_seconds = chunk_seconds
        self._safety = safety
        self._improving: list[Improving[T]] = []
        self._last = [-inf] * len(self._costs)

    def __len__(self) -> int:
        return len(self._improving)

    def allowance(self, now: float, deadline: float, *, work: float, others: int) -> Allowance:
        """What a request that is about to be decoded may spend, `work` seconds and `others` requests being in the way.

        Its share of the time is what lets all of them get the same number of views.
        """
        slack = deadline - MARGIN - now - work - self._cost(0, 1, now)
        seconds = min(self._max_seconds, slack) / (1 + others)
        return Allowance(seconds, tuple(self._row_seconds(member, now) for member in range(len(self._costs))))

    def add(self, item: T, members: Sequence[int], *, deadline: float, now: float) -> Improving[T]:
        """Take a request whose first pass is done; `members` are those of its further passes."""
        until = min(deadline - MARGIN, now + self._max_seconds)
        improving = Improving(item, tuple(members), until)
        self._improving.append(improving)
        self._last[0] = now
        return improving

    def drop(self, gone: Callable[[T], bool]) -> None:
        """Forget the requests whose callers have gone."""
        self._improving = [improving for improving in self._improving if not gone(improving.item)]

    def ready(self, now: float, work: float = 0.0) -> list[Improving[T]]:
        """Remove and return what is to be answered now: complete, out of time, or without hope of another view.

        `work` is the predicted time until the runner has done all that goes before views.
        """
        ready: list[Improving[T]] = []
        waiting: list[Improving[T]] = []
        for improving in self._improving:
            (ready if self._is_ready(improving, now, work) else waiting).append(improving)
        self._improving = waiting
        return ready

    def next_ready(self) -> float | None:
        """When the next answer in hand must leave, should nothing change; None when nothing is being improved."""
        return min((improving.until for improving in self._improving), default=None)

    def clear(self) -> list[Improving[T]]:
        """Remove and return all."""
        improving, self._improving = self._improving, []
        return improving

    def give_way(self, seconds: float) -> None:
        """A batch of others had the runner for so long."""
        for improving in self._improving:
            improving.waited += seconds

    def next_chunk(self, now: float, by: float = inf) -> Chunk[T] | None:
        """What an idle runner does next, done before `by`; None if there is nothing that ends in time.

        The caller runs it at once and reports its end through `finished`.
        Who has had the fewest views goes first. Of the batch sizes that time allows, the cheapest a row wins.
        """
        waiting = sorted(self._improving, key=lambda improving: (improving.done, improving.until))
        waiting = [improving for improving in waiting if improving.done < len(improving.members)]
        if not waiting:
            return None
        chunks = list(self._chunks(waiting[0].members[waiting[0].done], waiting, now, by))
        if not chunks:
            return None
        least = min(chunk.seconds / len(chunk.rows) for chunk in chunks)
        best = max(
            (chunk for chunk in chunks if chunk.seconds / len(chunk.rows) <= NEAR * least),
            key=lambda chunk: len(chunk.rows),
        )
        for improving, _ in best.rows:
            improving.flying = True
        return best

    def finished(self, chunk: Chunk[T], now: float, seconds: float | None) -> None:
        """A chunk has ended; `seconds` is what it took, None when it failed: then its requests get no further view."""
        for improving, place in chunk.rows:
            improving.flying = False
            if seconds is None:
                improving.members = improving.members[: improving.done]
            else:
                improving.done, improving.waited = place + 1, 0.0
        if seconds is not None:
            self._costs[chunk.member].observe(len(chunk.rows), seconds)
            self._last[chunk.member] = now

    def _is_ready(self, improving: Improving[T], now: float, work: float) -> bool:
        if improving.flying:
            return now >= improving.until
        if improving.done >= len(improving.members) or improving.waited + work > self._patience:
            return True
        return now + work + self._cost(improving.members[improving.done], 1, now) > improving.until

    def _chunks(self, member: int, waiting: list[Improving[T]], now: float, by: float) -> Iterator[Chunk[T]]:
        longest = max(self._chunk_seconds, self._cost(member, 1, now))
        for size in self._costs[member].buckets:
            seconds = self._cost(member, size, now)
            if seconds > longest or now + seconds > by:
                continue
            fitting = [
                improving
                for improving in waiting
                if improving.members[improving.done] == member and now + seconds <= improving.until
            ]
            rows = tuple(_deal(fitting, size))
            if rows:
                yield Chunk(member, rows, self._cost(member, len(rows), now))

    def _cost(self, member: int, n: int, now: float) -> float:
        cost = self._costs[member]
        stale = now - self._last[member] > STALE_AFTER
        return (cost.fastest(n) if stale else cost.predict(n)) * self._safety

    def _row_seconds(self, member: int, now: float) -> float:
        """One image's share of the best chunk."""
        costs = [(self._cost(member, size, now), size) for size in self._costs[member].buckets]
        longest = max(self._chunk_seconds, costs[0][0])
        return min(seconds / size for seconds, size in costs if seconds <= longest)


def _deal(waiting: Sequence[Improving[T]], size: int) -> Iterator[tuple[Improving[T], int]]:
    """Up to `size` rows: one pass for each in turn, then a second one, as far as each goes on over the same member."""
    runs = [(improving, improving.run()) for improving in waiting]
    turns = (
        (improving, improving.done + depth)
        for depth in range(max((run for _, run in runs), default=0))
        for improving, run in runs
        if depth < run
    )
    return islice(turns, size)
