"""The planner under a simulated clock: everything when idle, one view under load, nobody late for another's views."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streetvision.engine.batcher import Batcher, Ticket
from streetvision.engine.cost import CostModel
from streetvision.engine.planner import CHUNK_SECONDS, MARGIN, PATIENCE, STALE_AFTER, Chunk, Improving, ViewPlanner
from streetvision.engine.types import Overloaded

BUCKETS = (1, 2, 4, 8, 16)
SAFETY = 1.1


def seconds(n: int, a: float, b: float) -> float:
    return a * n + b


def seeded(a: float = 0.010, b: float = 0.020) -> CostModel:
    cost = CostModel(BUCKETS)
    for size in BUCKETS:
        cost.seed(size, seconds(size, a, b))
    return cost


def planner(members: int = 1, max_seconds: float = 1.0) -> ViewPlanner[str]:
    return ViewPlanner([seeded() for _ in range(members)], max_seconds=max_seconds, safety=1.0)


def rows(chunk: Chunk[str] | None) -> list[tuple[str, int]]:
    assert chunk is not None
    return [(improving.item, place) for improving, place in chunk.rows]


def test_passes_over_one_member_share_a_chunk_in_declared_order() -> None:
    plan = planner(members=2)
    plan.add("a", (0, 0, 0, 1, 0), deadline=9.0, now=0)
    assert plan.ready(0) == []
    steps = []
    for step in range(3):
        chunk = plan.next_chunk(step / 10)
        assert chunk is not None
        steps.append((chunk.member, rows(chunk)))
        plan.finished(chunk, step / 10, 0.05)
    # Three rows would be padded to four, which costs less than two and one.
    assert steps == [(0, [("a", 0), ("a", 1), ("a", 2)]), (1, [("a", 3)]), (0, [("a", 4)])]
    assert plan.next_chunk(0.3) is None
    assert [improving.done for improving in plan.ready(0.3)] == [5]


def test_who_has_seen_the_least_goes_first_and_all_in_turn() -> None:
    plan = planner()
    first = plan.add("first", (0,) * 30, deadline=9.0, now=0)
    chunk = plan.next_chunk(0)
    assert chunk is not None
    plan.finished(chunk, 0.1, 0.1)
    assert first.done == 16
    plan.add("second", (0,) * 5, deadline=9.0, now=0.1)
    assert rows(plan.next_chunk(0.1))[:3] == [("second", 0), ("first", 16), ("second", 1)]


def test_a_chunk_holds_the_runner_no_longer_than_it_may() -> None:
    plan = ViewPlanner[str]([seeded(a=0.05, b=0.0)], max_seconds=9.0, safety=1.0)
    plan.add("a", (0,) * 30, deadline=9.0, now=0)
    chunk = plan.next_chunk(0)
    assert chunk is not None
    assert len(chunk.rows) == 4
    assert chunk.seconds <= CHUNK_SECONDS
    slow = ViewPlanner[str]([seeded(a=0.5, b=0.0)], max_seconds=9.0, safety=1.0)
    slow.add("a", (0,) * 30, deadline=9.0, now=0)
    assert rows(slow.next_chunk(0)) == [("a", 0)]


def test_a_chunk_is_done_before_it_must_be() -> None:
    plan = planner()
    plan.add("a", (0,) * 30, deadline=9.0, now=0)
    assert len(rows(plan.next_chunk(0, by=0.070))) == 4  # eight would take 0.100
    assert plan.next_chunk(0, by=0.029) is None


def test_nobody_is_in_a_chunk_that_ends_too_late_for_it() -> None:
    plan = planner()
    plan.add("tight", (0,) * 9, deadline=0.065 + MARGIN, now=0)
    plan.add("loose", (0,) * 30, deadline=9.0, now=0)
    chunk = plan.next_chunk(0)
    assert chunk is not None
    assert {improving.item for improving, _ in chunk.rows} == {"loose"}
    assert [improving.item for improving in plan.ready(0.1)] == ["tight"]


def test_an_answer_in_hand_leaves_before_its_deadline_or_after_the_longest_wait() -> None:
    plan = planner()
    plan.add("tight", (0,) * 3, deadline=0.5 + MARGIN, now=0)
    plan.add("loose", (0,) * 3, deadline=9.0, now=0)
    assert plan.next_ready() == pytest.approx(0.5)
    assert plan.ready(0.46) == []
    assert [improving.item for improving in plan.ready(0.48)] == ["tight"]  # one more takes 0.030
    assert plan.next_ready() == pytest.approx(1.0)
    assert [improving.item for improving in plan.ready(0.98)] == ["loose"]
    assert plan.next_ready() is None


def test_who_would_wait_too_long_for_others_is_answered() -> None:
    plan = planner()
    plan.add("a", (0,) * 3, deadline=9.0, now=0)
    assert plan.ready(0, work=PATIENCE - 0.01) == []
    plan.give_way(0.1)
    assert plan.ready(0, work=PATIENCE - 0.11) == []
    assert [improving.item for improving in plan.ready(0, work=PATIENCE - 0.09)] == ["a"]


def test_progress_buys_patience() -> None:
    plan = planner()
    plan.add("a", (0,) * 30, deadline=9.0, now=0)
    plan.give_way(0.2)
    chunk = plan.next_chunk(0.2)
    assert chunk is not None
    plan.finished(chunk, 0.4, 0.2)
    plan.give_way(0.2)
    assert plan.ready(0.6) == []


def test_work_that_leaves_no_time_for_a_view_counts() -> None:
    plan = planner()
    plan.add("a", (0,), deadline=0.2 + MARGIN, now=0)
    assert plan.ready(0, work=0.16) == []
    assert [improving.item for improving in plan.ready(0, work=0.18)] == ["a"]


def test_work_that_nobody_waits_for_loses_no_view_to_others() -> None:
    plan = ViewPlanner[str]([seeded()], max_seconds=inf)
    plan.add("a", (0,) * 3, deadline=600.0, now=0)
    plan.give_way(100.0)
    assert plan.ready(0, work=100.0) == []
    assert plan.allowance(0, 600.0, work=0, others=8).passes((0,) * 64) == 64


def test_a_failed_chunk_ends_the_views_of_its_requests_alone() -> None:
    plan = planner()
    plan.add("a", (0,) * 3, deadline=9.0, now=0)
    chunk = plan.next_chunk(0)
    assert chunk is not None
    plan.add("b", (0,) * 3, deadline=9.0, now=0)
    plan.finished(chunk, 0.1, None)
    assert [(improving.item, improving.done) for improving in plan.ready(0.1)] == [("a", 0)]
    assert len(plan) == 1


def test_a_caller_that_left_is_forgotten() -> None:
    plan = planner()
    plan.add("gone", (0,) * 3, deadline=9.0, now=0)
    stays = plan.add("stays", (0,) * 3, deadline=9.0, now=0)
    plan.drop(lambda item: item == "gone")
    assert {item for item, _ in rows(plan.next_chunk(0))} == {"stays"}
    assert plan.clear() == [stays]
    assert plan.next_chunk(0) is None


def test_one_slow_spell_does_not_end_views_for_ever() -> None:
    plan = planner(members=2)
    for _ in range(20):
        plan.add("a", (1,), deadline=9.0, now=0)
        chunk = plan.next_chunk(0)
        if chunk is None:
            break
        plan.finished(chunk, 0, 60.0)
        plan.ready(0)
    plan.add("soon after", (1,), deadline=9.0, now=1)
    assert [improving.item for improving in plan.ready(1)] == ["soon after"]
    later = 1 + STALE_AFTER
    plan.add("later", (1,), deadline=99.0, now=later)
    assert plan.ready(later) == []
    assert rows(plan.next_chunk(later)) == [("later", 0)]


def test_an_idle_miner_prepares_all_and_a_busy_one_fewer() -> None:
    plan = planner()
    members = (0,) * 12
    idle = plan.allowance(0, 9.0, work=0, others=0)
    assert idle.passes(members) == 12
    counts = [plan.allowance(0, 9.0, work=0, others=others).passes(members) for others in range(200)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1
    assert plan.allowance(0, 9.0, work=9.0, others=0).passes(members) == 1
    assert (
        plan.allowance(0, 0.05 + MARGIN, work=0, others=0).passes(members) == 2
    )  # 0.020 are left, a row costs 0.01125
    assert plan.allowance(0, 0.01, work=0, others=0).passes(members) == 1


def test_no_time_for_views_means_one() -> None:
    assert planner(max_seconds=0.0).allowance(0, 9.0, work=0, others=0).passes((0, 0)) == 1


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


JITTER = st.lists(st.floats(0.95, 1.04), min_size=1, max_size=7)
"""The slowest may follow what the quickest foretold: together they stay within SAFETY, as they must for a promise."""
COSTS = st.tuples(st.floats(0.0001, 0.05), st.floats(0.0, 0.1))
ARRIVALS = st.lists(
    st.tuples(st.floats(0, 2), st.floats(0.001, 3), st.lists(st.integers(0, 1), max_size=12).map(tuple)).map(
        lambda t: Arrival(*t)
    ),
    max_size=80,
)


@settings(max_examples=120, deadline=None)
@given(
    arrivals=ARRIVALS,
    costs=st.tuples(COSTS, COSTS),
    max_seconds=st.floats(0.0, 3.0),
    jitter=JITTER,
)
def test_everyone_gets_one_answer_in_time_or_a_refusal(
    arrivals: list[Arrival], costs: tuple[tuple[float, float], ...], max_seconds: float, jitter: list[float]
) -> None:
    simulation = Simulation(list(costs), max_seconds, jitter)
    simulation.run(arrivals)
    for arrival in arrivals:
        assert [arrival.answered is not None, arrival.expired, arrival.refused].count(True) == 1
        if arrival.answered is not None:
            assert arrival.answered <= arrival.deadline + 1e-6
            assert 1 <= arrival.views <= 1 + len(arrival.passes)
    assert simulation.longest_chunk <= simulation.bound() + 1e-9


@settings(max_examples=300, deadline=None)
@given(
    gaps=st.lists(st.floats(0.0, 1.5), min_size=1, max_size=40),
    passes=st.lists(st.integers(0, 1), min_size=1, max_size=16).map(tuple),
    costs=st.tuples(COSTS, COSTS),
    patience=st.floats(0.05, 3.0),
    max_seconds=st.floats(0.0, 5.0),
)
def test_no_deadline_is_missed_that_one_view_would_have_met(
    gaps: list[float],
    passes: tuple[int, ...],
    costs: tuple[tuple[float, float], ...],
    patience: float,
    max_seconds: float,
) -> None:
    """Where one view answers everybody, views do so too once deadlines leave room for one chunk."""
    times = [sum(gaps[: place + 1]) for place in range(len(gaps))]
    plain = [Arrival(at, patience, ()) for at in times]
    one = Simulation(list(costs), max_seconds)
    one.run(plain)
    assume(all(arrival.answered is not None for arrival in plain))
    viewed = [Arrival(at, patience + one.bound() + MARGIN, passes) for at in times]
    Simulation(list(costs), max_seconds).run(viewed)
    assert all(arrival.answered is not None for arrival in viewed)


@settings(max_examples=60, deadline=None)
@given(passes=st.lists(st.integers(0, 1), max_size=16).map(tuple), cost=COSTS)
def test_an_idle_miner_with_nine_seconds_uses_all(passes: tuple[int, ...], cost: tuple[float, float]) -> None:
    arrival = Arrival(0.0, 9.0, passes)
    simulation = Simulation([cost, cost], max_seconds=8.0)
    simulation.run([arrival])
    assert arrival.views == 1 + len(passes)
    assert simulation.batches == [1]


def test_under_load_it_sheds_down_to_one_and_loses_no_throughput() -> None:
    def flood(passes: tuple[int, ...]) -> tuple[list[Arrival], Simulation]:
        simulation = Simulation([(0.010, 0.020)], max_seconds=1.0)
        arrivals = [Arrival(0.001 * step, 1.5, passes) for step in range(10_000)]
        simulation.run(arrivals)
        return arrivals, simulation

    plain, _ = flood(())
    viewed, _ = flood((0,) * 8)
    answered = [arrival for arrival in viewed if arrival.answered is not None]
    assert len(answered) >= 0.99 * sum(arrival.answered is not None for arrival in plain)
    busy = [arrival for arrival in answered if 2.0 < arrival.at < 8.0]
    assert {arrival.views for arrival in busy} == {1}


def test_half_a_load_gets_some_views_and_nobody_is_refused() -> None:
    simulation = Simulation([(0.010, 0.020)], max_seconds=1.0)
    arrivals = [Arrival(0.06 * step, 9.0, (0,) * 8) for step in range(400)]
    simulation.run(arrivals)
    assert all(arrival.answered is not None for arrival in arrivals)
    assert sum(arrival.views for arrival in arrivals) / len(arrivals) > 1.5


def test_two_at_once_both_get_all_their_views() -> None:
    simulation = Simulation([(0.010, 0.020)], max_seconds=1.0)
    arrivals = [Arrival(0.0, 9.0, (0,) * 8), Arrival(0.05, 9.0, (0,) * 8)]
    simulation.run(arrivals)
    assert [arrival.views for arrival in arrivals] == [9, 9]


def test_a_burst_on_a_slow_machine_gets_all_its_views() -> None:
    simulation = Simulation([(0.026, 0.0)], max_seconds=1.0)
    arrivals = [Arrival(0.001 * step, 8.5, (0,) * 3) for step in range(6)]
    simulation.run(arrivals)
    assert [arrival.views for arrival in arrivals] == [4] * 6
