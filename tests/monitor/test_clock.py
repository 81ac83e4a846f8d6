"""Whose time is wrong: every case of node, validators and kernel."""

from __future__ import annotations

import pytest

from streetvision.monitor.clock import Verdict, majority, verdict

AGREED, OFF, LAGS, AHEAD, UNDECIDED = (
    Verdict.AGREED, Verdict.CLOCK_OFF, Verdict.NODE_LAGS, Verdict.NODE_AHEAD, Verdict.UNDECIDED,
)  # fmt: skip
FINE, OLD, FUTURE = 4.0, 7200.0, -60.0
RIGHT, FAST, SLOW, SPLIT = [0.2] * 7, [9.0] * 7, [-9.0] * 7, [9.0, -9.0]

TABLE = [
    # node, validators, kernel, verdict
    (None, [], None, AGREED),
    (None, [], False, AGREED),
    (None, RIGHT, None, AGREED),
    (None, FAST, None, OFF),
    (FINE, [], None, AGREED),
    (FINE, [], False, AGREED),
    (FINE, RIGHT, False, AGREED),
    (FINE, FAST, True, OFF),
    (FINE, SLOW, None, OFF),
    (FINE, SPLIT, None, AGREED),
    (FINE, [19.0], None, AGREED),
    (OLD, RIGHT, None, LAGS),
    (OLD, RIGHT, True, LAGS),
    (OLD, RIGHT, False, LAGS),
    (OLD, FAST, None, OFF),
    (OLD, FAST, True, OFF),
    (OLD, SLOW, None, OFF),
    (OLD, SPLIT, None, UNDECIDED),
    (OLD, SPLIT, True, LAGS),
    (OLD, [0.2], None, LAGS),
    (OLD, [9.0], None, UNDECIDED),  # nine seconds explain no two hours
    (OLD, [9.0], True, LAGS),
    (OLD, [7190.0], None, OFF),
    (OLD, [7190.0], True, OFF),
    (OLD, [-9.0], None, UNDECIDED),
    (OLD, [-9.0], True, LAGS),
    (OLD, [], None, UNDECIDED),
    (OLD, [], False, UNDECIDED),
    (OLD, [], True, LAGS),
    (FUTURE, RIGHT, None, AHEAD),
    (FUTURE, RIGHT, False, AHEAD),
    (FUTURE, SLOW, True, OFF),
    (FUTURE, [-9.0], True, AHEAD),
    (FUTURE, [-9.0], None, OFF),
    (FUTURE, [-50.0], True, OFF),
    (FUTURE, [], True, AHEAD),
    (FUTURE, [], None, OFF),
    (FUTURE, [], False, OFF),
    (FUTURE, SPLIT, None, OFF),
]


@pytest.mark.parametrize(("node", "validators", "kernel", "expected"), TABLE)
def test_the_verdict(node: float | None, validators: list[float], kernel: bool | None, expected: Verdict) -> None:
    assert verdict(node, validators, kernel) is expected


@pytest.mark.parametrize(("node", "expected"), [(18.0, AGREED), (18.1, LAGS), (-5.0, AGREED), (-5.1, AHEAD)], ids=str)
def test_where_the_node_begins_to_contradict(node: float, expected: Verdict) -> None:
    assert verdict(node, RIGHT, None) is expected


@pytest.mark.parametrize("node", [OLD, FUTURE])
def test_what_was_heard_before_requests_were_refused_for_their_time_says_no_more(node: float) -> None:
    assert verdict(node, RIGHT, True, refused=True) is OFF
    assert verdict(FINE, FAST, None, refused=True) is AGREED, "the refusals are a finding of their own"


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [([], None), ([5.0], 0), ([5.1], None), ([5.1, 5.1], 1), ([-6.0, -7.0, 0.0], -1), ([0.1, 0.1, 19.0], 0),
     ([0.1, 19.0], None), ([0.1, 0.1, 9.0, 9.0], None), ([float("nan")], 0)],
)  # fmt: skip
def test_most_validators(offsets: list[float], expected: int | None) -> None:
    assert majority(offsets) == expected
