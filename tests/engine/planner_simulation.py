"""One runner, its batcher and its planner under a simulated clock."""

from __future__ import annotations

from dataclasses import dataclass, field

from streetvision.engine.batcher import Batcher, Ticket
from streetvision.engine.planner import CHUNK_SECONDS, Chunk, Improving, ViewPlanner
from streetvision.engine.types import Overloaded

from .costs import seconds, seeded

SAFETY = 1.1


@dataclass(eq=False)
class Arrival:
    """A request of the simulation, and what became of it."""

    at: float
    patience: float
    passes: tuple[int, ...]
    answered: float | None = None
    views: int = 0
    expired: bool = False
    refused: bool = False

    @property
    def deadline(self) -> float:
        return self.at + self.patience


@dataclass
class Simulation:
    """One runner, its batcher and its planner, event by event, as the dispatcher joins them."""

    costs: list[tuple[float, float]]
    max_seconds: float
    jitter: list[float] = field(default_factory=lambda: [1.0])
    now: float = 0.0
    busy_until: float | None = None
    batch: list[Ticket[Arrival]] = field(default_factory=list)
    chunk: Chunk[Arrival] | None = None
    runs: int = 0
    longest_chunk: float = 0.0
    batches: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        costs = [seeded(*cost) for cost in self.costs]
        self.queue: Batcher[Arrival] = Batcher(costs[0], capacity=256, safety=SAFETY)
        self.plan: ViewPlanner[Arrival] = ViewPlanner(costs, max_seconds=self.max_seconds, safety=SAFETY)

    def run(self, arrivals: list[Arrival]) -> None:
        pending = sorted(arrivals, key=lambda arrival: arrival.at)
        while pending or self.busy_until is not None or len(self.queue) or len(self.plan):
            self.now = max(self.now, min(self.events(pending)))
            if self.busy_until is not None and self.busy_until <= self.now:
                self.finish()
            while pending and pending[0].at <= self.now:
                self.arrive(pending.pop(0))
            self.pump()

    def events(self, pending: list[Arrival]) -> list[float]:
        times = [self.queue.next_expiry(self.now), self.plan.next_ready(), self.busy_until]
        return [time + 1e-9 for time in times if time is not None] + [arrival.at for arrival in pending[:1]]

    def arrive(self, arrival: Arrival) -> None:
        try:
            self.queue.offer(arrival, deadline=arrival.deadline, priority=0.0, now=self.now)
        except Overloaded:
            arrival.refused = True
            if self.chunk is not None and not len(self.queue):
                # Only a chunk was in its way: no request whose deadline leaves room for one is refused for it.
                assert arrival.patience <= self.bound() + SAFETY * seconds(1, *self.costs[0]) + 1e-6

    def bound(self) -> float:
        return max(CHUNK_SECONDS, *(SAFETY * seconds(1, *cost) for cost in self.costs))

    def pump(self) -> None:
        for ticket in self.queue.expire(self.now):
            ticket.item.expired = True
        idle = self.busy_until is None
        batch = self.queue.next_batch(self.now) if idle else []
        if batch:
            self.batch = batch
            self.start(self.queue.cost.bucket(len(batch)), 0)
            self.batches.append(len(batch))
        self.answer(self.plan.ready(self.now, self.queue.work(self.now)))
        if idle and not batch:
            self.chunk = self.plan.next_chunk(self.now)
            assert self.chunk is not None or not len(self.plan), "an idle runner and somebody to improve"
            if self.chunk is not None:
                self.queue.occupy(self.now, self.chunk.seconds)
                self.start(self.queue.cost.bucket(len(self.chunk.rows)), self.chunk.member)

    def start(self, size: int, member: int) -> None:
        self.runs += 1
        self.took = seconds(size, *self.costs[member]) * self.jitter[self.runs % len(self.jitter)]
        self.busy_until = self.now + self.took
        if self.chunk is not None:
            self.longest_chunk = max(self.longest_chunk, self.took)

    def finish(self) -> None:
        self.busy_until = None
        if self.chunk is not None:
            chunk, self.chunk = self.chunk, None
            self.queue.finished(self.now)
            self.plan.finished(chunk, self.now, self.took)
            return
        self.queue.finished(self.now, len(self.batch), self.took)
        self.plan.give_way(self.took)
        for ticket in self.batch:
            self.plan.add(ticket.item, ticket.item.passes, deadline=ticket.deadline, now=self.now)
        self.batch = []

    def answer(self, ready: list[Improving[Arrival]]) -> None:
        for improving in ready:
            assert improving.item.answered is None
            improving.item.answered, improving.item.views = self.now, 1 + improving.done
