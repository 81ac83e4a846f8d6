"""The scheduler under a simulated clock: order, deadlines, admission, work conservation and throughput."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streetvision.engine.batcher import Batcher, Ticket
from streetvision.engine.types import Overloaded

from .costs import BUCKETS, seconds, seeded


def batcher(capacity: int = 100, a: float = 0.010, b: float = 0.020) -> Batcher[str]:
    return Batcher(seeded(a, b), capacity=capacity, safety=1.0)


def items(tickets: list[Ticket[str]]) -> list[str]:
    return [ticket.item for ticket in tickets]


def test_earliest_deadline_goes_first_then_priority_then_arrival() -> None:
    queue = batcher()
    queue.offer("late", deadline=9.0, priority=100, now=0)
    queue.offer("poor", deadline=5.0, priority=1, now=0)
    queue.offer("rich", deadline=5.0, priority=2, now=0)
    queue.offer("poor too", deadline=5.0, priority=1, now=0)
    queue.offer("rich, a hair later", deadline=5.003, priority=3, now=0)
    first = items(queue.next_batch(0))
    queue.finished(1)
    assert [*first, *items(queue.next_batch(1))] == ["rich, a hair later", "rich", "poor", "poor too", "late"]


def test_an_idle_runner_takes_what_there_is_and_a_busy_one_gathers() -> None:
    queue = batcher()
    queue.offer("first", deadline=9.0, priority=0, now=0)
    assert items(queue.next_batch(0)) == ["first"]
    queue.offer("second", deadline=9.0, priority=0, now=0.001)
    queue.offer("third", deadline=9.0, priority=0, now=0.002)
    assert queue.next_batch(0.002) == []
    queue.finished(0.03, 1, 0.03)
    assert items(queue.next_batch(0.03)) == ["second", "third"]


def test_a_batch_is_only_as_large_as_its_earliest_deadline_allows() -> None:
    queue = batcher()
    queue.offer("tight", deadline=0.065, priority=0, now=0)
    for index in range(11):
        queue.offer(str(index), deadline=5.0, priority=0, now=0)
    assert len(queue.next_batch(0)) == 4  # four cost 0.060, eight would cost 0.100


def test_the_cost_of_a_batch_is_the_cost_of_its_bucket() -> None:
    queue = batcher()
    queue.offer("tight", deadline=0.095, priority=0, now=0)
    for index in range(4):
        queue.offer(str(index), deadline=5.0, priority=0, now=0)
    assert len(queue.next_batch(0)) == 4  # five would be padded to eight


def test_padding_that_costs_throughput_is_avoided() -> None:
    queue = batcher(a=0.010, b=0.001)
    for index in range(5):
        queue.offer(str(index), deadline=5.0, priority=0, now=0)
    assert len(queue.next_batch(0)) == 4


def test_a_bucket_that_is_slower_than_the_line_is_not_used() -> None:
    cost = seeded()
    for _ in range(20):
        cost.observe(16, 1.0)
    queue: Batcher[str] = Batcher(cost, capacity=100)
    for index in range(40):
        queue.offer(str(index), deadline=50.0, priority=0, now=0)
    assert len(queue.next_batch(0)) == 8


def test_a_full_queue_refuses() -> None:
    queue = batcher(capacity=2)
    queue.admit(0, 9.0, ahead=1)
    queue.offer("a", deadline=9.0, priority=0, now=0)
    with pytest.raises(Overloaded, match="the queue is full"):
        queue.admit(0, 9.0, ahead=1)
    queue.offer("b", deadline=9.0, priority=0, now=0)
    with pytest.raises(Overloaded, match="the queue is full"):
        queue.offer("c", deadline=9.0, priority=9, now=0)


def test_a_deadline_beyond_the_predicted_wait_is_refused_at_once() -> None:
    queue = batcher()
    with pytest.raises(Overloaded, match="deadline"):
        queue.offer("hopeless", deadline=0.029, priority=0, now=0)
    queue.offer("runs", deadline=1.0, priority=0, now=0)
    queue.next_batch(0)
    with pytest.raises(Overloaded):
        queue.offer("behind it", deadline=0.059, priority=0, now=0)
    for index in range(16):
        queue.offer(str(index), deadline=0.5, priority=0, now=0)
    with pytest.raises(Overloaded):
        queue.offer("behind them", deadline=0.51, priority=0, now=0.16)
    queue.offer("before them", deadline=0.49, priority=0, now=0.1)


def test_nobody_is_admitted_at_the_cost_of_one_who_waits_already() -> None:
    queue = batcher()
    queue.offer("runs", deadline=1.0, priority=0, now=0)
    queue.next_batch(0)
    queue.offer("promised", deadline=0.065, priority=0, now=0)
    with pytest.raises(Overloaded, match="deadline"):
        queue.offer("pushy", deadline=0.0615, priority=9, now=0)
    assert items(queue.expire(0.03)) == []


def test_work_that_is_not_queued_yet_counts() -> None:
    queue = batcher()
    queue.admit(0, 0.3)
    with pytest.raises(Overloaded):
        queue.admit(0, 0.3, ahead=40)
    with pytest.raises(Overloaded):
        queue.admit(0, 0.3, delay=0.28)


@pytest.mark.parametrize(("deadline", "priority"), [(float("inf"), 0.0), (float("nan"), 0.0), (1.0, float("nan"))])
def test_what_cannot_be_ordered_is_the_callers_mistake(deadline: float, priority: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        batcher().offer("x", deadline=deadline, priority=priority, now=0)


def test_a_request_expires_as_soon_as_it_cannot_be_met() -> None:
    queue = batcher()
    queue.offer("runs", deadline=1.0, priority=0, now=0)
    queue.next_batch(0)
    queue.offer("tight", deadline=0.100, priority=0, now=0)
    queue.offer("loose", deadline=2.0, priority=0, now=0)
    assert queue.next_expiry(0) == pytest.approx(0.070)
    assert queue.expire(0.069) == []
    assert items(queue.expire(0.071)) == ["tight"]
    assert queue.next_expiry(0.071) == pytest.approx(1.970)
    queue.finished(0.08)
    assert items(queue.next_batch(0.08)) == ["loose"]
    assert queue.next_expiry(0.08) is None


def test_what_can_not_be_met_is_not_computed_even_if_nobody_asked_for_expiry() -> None:
    queue = batcher()
    queue.offer("missed", deadline=0.5, priority=0, now=0)
    queue.offer("fine", deadline=0.6, priority=0, now=0)
    assert items(queue.next_batch(0.48)) == ["fine"]
    assert items(queue.expire(0.48)) == ["missed"]


def test_a_withdrawn_request_is_not_computed() -> None:
    queue = batcher()
    gone = queue.offer("gone", deadline=1.0, priority=0, now=0)
    queue.offer("stays", deadline=1.0, priority=0, now=0)
    queue.withdraw([gone])
    queue.withdraw([gone])
    assert items(queue.next_batch(0)) == ["stays"]


def test_a_retry_runs_alone_and_keeps_its_place() -> None:
    queue = batcher(capacity=3)
    for name in ("a", "b"):
        queue.offer(name, deadline=1.0, priority=0, now=0)
    failed = queue.next_batch(0)
    for name in ("c", "d", "e"):
        queue.offer(name, deadline=2.0, priority=0, now=0)
    queue.finished(0.01)
    for ticket in failed:
        queue.retry_alone(ticket)
    runs = []
    for step in range(3):
        runs.append(items(queue.next_batch(step / 10)))
        queue.finished(step / 10 + 0.05)
    assert runs == [["a"], ["b"], ["c", "d", "e"]]


def test_one_slow_spell_does_not_close_the_engine_for_ever() -> None:
    queue = batcher()
    for _ in range(20):
        queue.cost.observe(1, 60.0)
    queue.finished(0)
    with pytest.raises(Overloaded):
        queue.offer("soon after", deadline=8.0, priority=0, now=1.0)
    queue.offer("later", deadline=13.0, priority=0, now=6.0)
    assert queue.expire(6.0) == []
    assert items(queue.next_batch(6.0)) == ["later"]


def test_what_else_the_runner_does_is_in_the_way() -> None:
    queue = batcher()
    assert (queue.busy, queue.work(0)) == (False, 0.0)
    queue.occupy(0, 0.5)
    assert queue.busy
    assert queue.work(0.1) == pytest.approx(0.4)
    with pytest.raises(Overloaded, match="deadline"):
        queue.offer("too soon", deadline=0.529, priority=0, now=0)
    queue.offer("after it", deadline=0.531, priority=0, now=0)
    assert queue.next_batch(0.1) == []
    assert queue.work(0.1, coming=1) == pytest.approx(0.4 + 0.040)
    queue.finished(0.5)
    assert items(queue.next_batch(0.5)) == ["after it"]


def test_clear_hands_back_all_that_wait() -> None:
    queue = batcher()
    queue.offer("a", deadline=1.0, priority=0, now=0)
    assert items(queue.clear()) == ["a"]
    assert len(queue) == 0


@dataclass
class Arrival:
    """A request of the simulation, and what became of it."""

    at: float
    patience: float
    priority: float = 0.0
    answered: float | None = None
    expired: float | None = None
    refused: bool = False

    @property
    def deadline(self) -> float:
        return self.at + self.patience


@dataclass
class Simulation:
    """One runner and its batcher, event by event; `jitter` scales each batch's time."""

    queue: Batcher[Arrival]
    a: float
    b: float
    jitter: list[float] = field(default_factory=lambda: [1.0])
    now: float = 0.0
    busy_until: float | None = None
    running: list[Ticket[Arrival]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def run(self, arrivals: list[Arrival]) -> None:
        pending = sorted(arrivals, key=lambda arrival: arrival.at)
        while pending or self.busy_until is not None or len(self.queue):
            self.now = max(self.now, min(self.events(pending)))
            if self.busy_until is not None and self.busy_until <= self.now:
                self.finish()
            while pending and pending[0].at <= self.now:
                self.arrive(pending.pop(0))
            for ticket in self.queue.expire(self.now):
                ticket.item.expired = self.now
            self.start()

    def events(self, pending: list[Arrival]) -> list[float]:
        expiry = self.queue.next_expiry(self.now)
        return [
            *([pending[0].at] if pending else []),
            *([self.busy_until] if self.busy_until is not None else []),
            *([expiry + 1e-9] if expiry is not None else []),
        ]

    def arrive(self, arrival: Arrival) -> None:
        try:
            self.queue.offer(arrival, deadline=arrival.deadline, priority=arrival.priority, now=self.now)
        except Overloaded:
            arrival.refused = True

    def start(self) -> None:
        batch = self.queue.next_batch(self.now)
        if batch:
            assert self.busy_until is None
            self.running = batch
            factor = self.jitter[len(self.batches) % len(self.jitter)]
            self.busy_until = self.now + seconds(self.queue.cost.bucket(len(batch)), self.a, self.b) * factor
            self.batches.append(len(batch))
        else:
            assert self.busy_until is not None or not len(self.queue), "an idle runner and somebody waiting"

    def finish(self) -> None:
        size = self.queue.cost.bucket(len(self.running))
        for ticket in self.running:
            ticket.item.answered = self.now
        self.queue.finished(self.now, len(self.running), seconds(size, self.a, self.b))
        self.busy_until, self.running = None, []


@settings(max_examples=150, deadline=None)
@given(
    arrivals=st.lists(
        st.tuples(st.floats(0, 2), st.floats(0.001, 3), st.integers(0, 3)).map(lambda t: Arrival(*t)), max_size=120
    ),
    a=st.floats(0.0001, 0.05),
    b=st.floats(0.0, 0.1),
    jitter=st.lists(st.floats(0.8, 1.09), min_size=1, max_size=7),
    capacity=st.integers(1, 64),
)
def test_everyone_gets_one_answer_in_time_or_a_refusal(
    arrivals: list[Arrival], a: float, b: float, jitter: list[float], capacity: int
) -> None:
    simulation = Simulation(Batcher(seeded(a, b), capacity=capacity, safety=1.1), a, b, jitter)
    simulation.run(arrivals)
    for arrival in arrivals:
        outcomes = [arrival.answered is not None, arrival.expired is not None, arrival.refused]
        assert sum(outcomes) == 1
        assert arrival.answered is None or arrival.answered <= arrival.deadline
        assert arrival.expired is None or arrival.expired <= arrival.deadline + 1e-6


def test_under_overload_what_is_admitted_is_nearly_always_answered() -> None:
    rng = random.Random(5)
    arrivals = [Arrival(rng.uniform(0, 20), 1.0 + rng.random()) for _ in range(4000)]
    simulation = Simulation(Batcher(seeded(), capacity=256), 0.010, 0.020)
    simulation.run(arrivals)
    answered = sum(arrival.answered is not None for arrival in arrivals)
    expired = sum(arrival.expired is not None for arrival in arrivals)
    assert answered + expired + sum(arrival.refused for arrival in arrivals) == 4000
    assert expired <= 0.02 * answered
    assert answered >= 0.95 * 20 * 16 / seconds(16)


@pytest.mark.parametrize(("a", "b"), [(0.010, 0.020), (0.050, 0.0005), (0.0004, 0.003)])
def test_throughput_under_load_is_near_the_best_fixed_batch(a: float, b: float) -> None:
    total = 960
    simulation = Simulation(Batcher(seeded(a, b), capacity=total), a, b)
    simulation.run([Arrival(0.0, 1000.0) for _ in range(total)])
    best = max(size / seconds(size, a, b) for size in BUCKETS)
    assert total / simulation.now >= 0.98 * best


def test_a_loose_deadline_waits_no_longer_than_its_deadline_under_a_stream_of_tight_ones() -> None:
    stream = [Arrival(step * 0.015, 0.4, priority=9) for step in range(1200)]
    loose = Arrival(0.5, 5.0)
    Simulation(Batcher(seeded(), capacity=64), 0.010, 0.020).run([*stream, loose])
    assert loose.answered is not None
    assert loose.answered <= loose.deadline
