"""Who is computed next, with whom, and who cannot be: pure scheduling, told the time by its caller.

The earliest deadline goes first; deadlines within the same tick tie, and then the higher priority goes, then the first
come. An idle runner never waits for a fuller batch. A batch is only as large as its earliest deadline allows. What
cannot be answered in time is refused when offered, or expires as soon as that is known.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from math import floor, inf, isfinite
from typing import Generic, TypeVar

from streetvision.engine.cost import CostModel
from streetvision.engine.types import Overloaded

T = TypeVar("T")
Rank = tuple[int, float, int]

NEAR = 1.01
"""Two predictions this close are taken as equal: noise must not decide between them."""


@dataclass(frozen=True, slots=True, eq=False)
class Ticket(Generic[T]):
    """One waiting request."""

    item: T
    deadline: float
    """Seconds on the caller's clock."""
    priority: float
    rank: Rank
    """Sort key: deadline in ticks, then priority downwards, then arrival."""
    solo: bool = False
    """To be computed alone, because a batch with it failed."""


_TOO_LATE = "the deadline cannot be met under the present load"


def _rank(ticket: Ticket[T]) -> Rank:
    return ticket.rank


class Batcher(Generic[T]):
    """A bounded queue before one runner that runs one batch at a time. Not thread-safe: one event loop owns it.

    Predicted costs are multiplied by `safety`. After `stale_after` idle seconds a lone request is hoped to take the
    least time ever seen, so that one slow spell cannot make the engine refuse everything for ever.
    """

    def __init__(
        self, cost: CostModel, *, capacity: int, safety: float = 1.1, tick: float = 0.01, stale_after: float = 5.0
    ) -> None:
        self.cost = cost
        self._capacity = capacity
        self._safety = safety
        self._tick = tick
        self._stale_after = stale_after
        self._queue: list[Ticket[T]] = []
        self._arrivals = count()
        self.running = 0
        """Requests in the batch that runs now."""
        self._free_at: float | None = None
        self._idle_since = -inf

    def __len__(self) -> int:
        return len(self._queue)

    def admit(self, now: float, deadline: float, *, ahead: int = 0, behind: int = 0, delay: float = 0.0) -> None:
        """Raise Overloaded when a request could not be answered in time, or only at the cost of one that waits already.

        `ahead` and `behind` count requests that are not queued yet, with earlier and with later deadlines; `delay` is
        how long this one will not be ready.
        """
        if len(self._queue) + ahead + behind >= self._capacity:
            raise Overloaded("the queue is full")
        place = bisect_left(self._queue, (floor(deadline / self._tick), inf, 0), key=_rank)
        done = self._schedule(now)
        if max(done(ahead + place), now + delay + self._single(now)) >= deadline:
            raise Overloaded(_TOO_LATE)
        for position, ticket in enumerate(self._queue[place:], start=ahead + place):
            if done(position) < ticket.deadline <= done(position + 1):
                raise Overloaded(_TOO_LATE)

    def offer(self, item: T, *, deadline: float, priority: float, now: float) -> Ticket[T]:
        """Queue a request or raise Overloaded at once; raises ValueError unless deadline and priority are finite."""
        if not (isfinite(deadline) and isfinite(priority)):
            raise ValueError("deadline and priority must be finite")
        self.admit(now, deadline)
        ticket = Ticket(item, deadline, priority, (floor(deadline / self._tick), -priority, next(self._arrivals)))
        insort(self._queue, ticket, key=_rank)
        return ticket

    def retry_alone(self, ticket: Ticket[T]) -> Ticket[T]:
        """Queue a request of a failed batch again, for a batch of its own; it keeps its rank and needs no room."""
        solo = Ticket(ticket.item, ticket.deadline, ticket.priority, ticket.rank, solo=True)
        insort(self._queue, solo, key=_rank)
        return solo

    def withdraw(self, tickets: Iterable[Ticket[T]]) -> None:
        """Forget requests whose callers have gone; those not waiting any more are ignored."""
        for ticket in tickets:
            place = bisect_left(self._queue, ticket.rank, key=_rank)
            if place < len(self._queue) and self._queue[place].rank == ticket.rank:
                del self._queue[place]

    def next_batch(self, now: float) -> list[Ticket[T]]:
        """Take the batch to start now; empty while one runs or when nothing that waits can be answered in time.

        The caller runs it at once and reports its end through `finished`.
        """
        if self._free_at is not None:
            return []
        single = now + self._single(now)
        waiting = [ticket for ticket in self._queue if ticket.deadline > single]
        batch = waiting[: self._choose(waiting, now)]
        if batch:
            self.running, self._free_at = len(batch), now + self._cost(len(batch))
            self.withdraw(batch)
        return batch

    @property
    def busy(self) -> bool:
        """Whether the runner does something."""
        return self._free_at is not None

    def occupy(self, now: float, seconds: float) -> None:
        """The runner does something else for about so long; the caller reports its end through `finished`."""
        self._free_at = now + seconds

    def work(self, now: float, coming: int = 0) -> float:
        """Predicted seconds until the runner has done what it does now, all that wait, and `coming` more."""
        return self._free(now) - now + self._drain(len(self._queue) + coming, self.cost.best)

    def finished(self, now: float, n: int = 0, seconds: float | None = None) -> None:
        """The running batch of n has ended; `seconds` is what the forward pass took, None when it failed."""
        self.running, self._free_at, self._idle_since = 0, None, now
        if seconds is not None:
            self.cost.observe(n, seconds)

    def expire(self, now: float) -> list[Ticket[T]]:
        """Remove and return the requests that cannot be answered in time any more, even if they went next and alone."""
        horizon = self._horizon(now)
        expired = []
        for ticket in self._queue:
            if ticket.rank[0] > floor(horizon / self._tick):
                break
            if ticket.deadline <= horizon:
                expired.append(ticket)
        self.withdraw(expired)
        return expired

    def next_expiry(self, now: float) -> float | None:
        """When `expire` will next have something to return, should nothing change; None when nothing waits."""
        if not self._queue:
            return None
        first = self._queue[0].rank[0]
        earliest = min(ticket.deadline for ticket in self._leading(first))
        return now if earliest <= self._horizon(now) else earliest - self._single(now)

    def clear(self) -> list[Ticket[T]]:
        """Remove and return all that wait."""
        waiting, self._queue = self._queue, []
        return waiting

    def _leading(self, tick: int) -> Iterable[Ticket[T]]:
        return self._queue[: bisect_left(self._queue, (tick + 1, -inf, 0), key=_rank)]

    def _horizon(self, now: float) -> float:
        """The earliest that a request which went next would be done."""
        return self._free(now) + self._single(now)

    def _free(self, now: float) -> float:
        free_at = self._free_at  # read once: decode threads ask too
        return now if free_at is None else max(now, free_at)

    def _cost(self, n: int) -> float:
        return self.cost.predict(n) * self._safety

    def _single(self, now: float) -> float:
        stale = self._free_at is None and now - self._idle_since > self._stale_after
        return self.cost.fastest(1) * self._safety if stale else self._cost(1)

    def _drain(self, n: int, best: int) -> float:
        """Predicted seconds to compute n requests in batches of the best size."""
        full, rest = divmod(n, best)
        return full * self._cost(best) + (self._cost(rest) if rest else 0.0)

    def _schedule(self, now: float) -> Callable[[int], float]:
        """Predicts when the request at a place in the queue (from 0) will be done.

        Behind the first full batch every batch is taken to be full, as under load it will be: a request admitted to the
        very edge of its deadline would later force batches of one, and throughput would collapse.
        """
        free, single, best = self._free(now), self._single(now), self.cost.best

        def done(place: int) -> float:
            if place < best:
                return free + (self._cost(place + 1) if place else single)
            return free + (place // best + 1) * self._cost(best)

        return done

    def _sizes(self, waiting: list[Ticket[T]]) -> Iterator[int]:
        """Batch sizes worth a thought: whole buckets and all that wait, short of a request that must run alone."""
        together = next((place for place, ticket in enumerate(waiting) if ticket.solo), len(waiting))
        most = min(together, self.cost.buckets[-1])
        yield from (size for size in self.cost.buckets if size < most)
        if most:
            yield most

    def _choose(self, waiting: list[Ticket[T]], now: float) -> int:
        """How many of the first to take, of the numbers that their deadlines allow.

        What empties the queue soonest wins; where that is a tie the best throughput; then the smallest, which answers
        sooner.
        """
        best = self.cost.best
        sizes = [
            size
            for size in self._sizes(waiting)
            if now + self._cost(size) < min(ticket.deadline for ticket in waiting[:size])
        ]
        if not sizes:
            return min(1, len(waiting))
        totals = {size: self._cost(size) + self._drain(len(waiting) - size, best) for size in sizes}
        sizes = [size for size in sizes if totals[size] <= NEAR * min(totals.values())]
        each = {size: self._cost(size) / size for size in sizes}
        return next(size for size in sizes if each[size] <= NEAR * min(each.values()))
