"""When a backend is asked, believed and given up."""

from __future__ import annotations

import pytest

from streetvision.engine.remote_policy import (
    Breaker,
    BreakerState,
    Latencies,
    RemotePolicy,
    Window,
    reaches,
    take_over_at,
)

POLICY = RemotePolicy(jitter=0.0)


def no_draw() -> float:
    return 0.0


def test_nothing_is_expected_before_the_first_answer() -> None:
    latencies = Latencies(POLICY)
    assert latencies.expected(4) is None
    assert latencies.patience(4) == POLICY.most_patience


def test_a_quantile_is_expected_and_a_rare_slow_answer_moves_it_little() -> None:
    latencies = Latencies(POLICY)
    for _ in range(97):
        latencies.observe(4, 0.05)
    for _ in range(3):
        latencies.observe(4, 9.0)
    assert latencies.expected(4) == 0.05
    assert latencies.patience(4) == pytest.approx(0.15)


def test_what_is_slow_for_good_is_expected_soon() -> None:
    latencies = Latencies(POLICY)
    for _ in range(200):
        latencies.observe(1, 0.01)
    for _ in range(10):
        latencies.observe(1, 0.4)
    assert latencies.expected(1) == 0.4


def test_sizes_are_told_apart_in_powers_of_two_and_unknown_ones_are_feared() -> None:
    latencies = Latencies(POLICY)
    latencies.observe(2, 0.02)
    assert latencies.expected(8) == pytest.approx(0.08)
    assert latencies.expected(1) == 0.02
    latencies.observe(7, 0.03)
    assert latencies.expected(5) == latencies.expected(8) == 0.03


@pytest.mark.parametrize(("seconds", "patience"), [(0.001, 0.1), (0.1, 0.3), (8.0, 1.5)])
def test_patience_has_bounds(seconds: float, patience: float) -> None:
    latencies = Latencies(POLICY)
    latencies.observe(1, seconds)
    assert latencies.patience(1) == pytest.approx(patience)


def test_the_window_grows_by_one_a_round_and_halves_once_a_round() -> None:
    window = Window(8)
    assert window.size == 2
    for _ in range(3):
        window.grow()
    assert window.size == 3
    for _ in range(100):
        window.grow()
    assert window.size == 8
    window.shrink(sent=1.0, now=2.0)
    window.shrink(sent=1.5, now=2.1)  # of the same round
    assert window.size == 4
    for sent in (3.0, 4.0, 5.0, 6.0):
        window.shrink(sent, sent)
    assert window.size == 1


def test_a_window_of_one_stays_one() -> None:
    window = Window(1)
    window.grow()
    assert window.size == 1


def closed() -> Breaker:
    breaker = Breaker(POLICY, no_draw, 0.0)
    breaker.probe(0.0)
    breaker.probe_passed(0.0)
    return breaker


def test_it_begins_open_and_a_probe_is_due_at_once() -> None:
    breaker = Breaker(POLICY, no_draw, 7.0)
    assert (breaker.closed, breaker.probe_at) == (False, 7.0)
    breaker.probe(7.0)
    assert breaker.probe_at == 7.0 + POLICY.first_pause
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.probe_passed(8.0)
    assert (breaker.closed, breaker.since) == (True, 8.0)


def test_failures_in_a_row_open_it_once() -> None:
    breaker = closed()
    assert [breaker.failed(1.0), breaker.failed(1.0)] == [False, False]
    breaker.succeeded()
    assert [breaker.failed(2.0), breaker.failed(2.0), breaker.failed(2.0)] == [False, False, True]
    assert (breaker.state, breaker.since) == (BreakerState.OPEN, 2.0)
    assert breaker.probe_at == 2.0 + POLICY.first_pause
    assert not breaker.failed(3.0)


def test_every_second_failure_opens_it_too() -> None:
    breaker = closed()
    opened = False
    for _ in range(POLICY.outcomes):
        breaker.succeeded()
        opened = opened or breaker.failed(1.0)
    assert opened


def test_pauses_double_up_to_a_bound_and_begin_anew_after_success() -> None:
    breaker = closed()
    for _ in range(POLICY.in_a_row):
        breaker.failed(0.0)
    pauses = []
    for _ in range(8):
        breaker.probe(100.0)
        pauses.append(breaker.probe_at - 100.0)
    assert pauses[:4] == pytest.approx([0.25, 0.5, 1.0, 2.0])
    assert pauses[-1] == POLICY.longest_pause
    breaker.probe_passed(200.0)
    for _ in range(POLICY.in_a_row):
        breaker.failed(300.0)
    assert breaker.probe_at == pytest.approx(300.25)


def test_a_pause_is_shortened_by_a_draw() -> None:
    breaker = Breaker(RemotePolicy(jitter=0.2), lambda: 0.5, 0.0)
    breaker.probe(0.0)
    assert breaker.probe_at == pytest.approx(0.25 * 0.9)


def test_the_embedded_model_begins_in_time_for_all_that_wait() -> None:
    assert take_over_at(9.0, 2.0, POLICY) == pytest.approx(9.0 - 2.5 - 0.05)


@pytest.mark.parametrize(
    ("deadline", "expected", "work", "answer"),
    [(9.0, 0.05, 1.0, True), (0.5, 0.6, 0.1, False), (1.0, 0.5, 0.5, False), (1.2, None, 0.0, False)],
)
def test_the_backend_is_asked_if_its_answer_leaves_time(
    deadline: float, expected: float | None, work: float, answer: bool
) -> None:
    assert reaches(0.0, deadline, expected, work, POLICY) is answer
