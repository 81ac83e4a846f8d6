"""The planner under a simulated clock: everything when idle, one view under load, nobody late for another's views."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streetvision.engine.planner import MARGIN

from .planner_simulation import Arrival, Simulation

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
