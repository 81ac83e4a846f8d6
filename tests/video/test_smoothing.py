"""Frames' logits become a probability over time and segments."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from streetvision.video.smoothing import SMOOTHING, Smoothing, find_segments, smooth


def posterior_by_enumeration(times: np.ndarray, logits: np.ndarray, rule: Smoothing) -> np.ndarray:
    """The definition: every path of states, weighed."""
    gaps = np.diff(times, prepend=times[0] - rule.apart)
    weights = np.clip(logits, -rule.clip, rule.clip) * np.minimum(1.0, gaps / rule.apart)
    total, on = 0.0, np.zeros(len(times))
    for path in itertools.product((0, 1), repeat=len(times)):
        likelihood = 0.5
        for place, state in enumerate(path):
            if place:
                change = (1 - np.exp(-2 * gaps[place] / rule.dwell)) / 2
                likelihood *= change if path[place - 1] != state else 1 - change
            likelihood *= np.exp(weights[place]) if state else 1.0
        total += likelihood
        on += likelihood * np.array(path)
    return np.asarray(on / total)


def test_both_passes_give_the_posterior_of_the_chain() -> None:
    rng = np.random.default_rng(72)
    times = np.cumsum(rng.uniform(0.1, 3.0, 9))
    logits = rng.normal(0, 3, 9)
    expected = posterior_by_enumeration(times, logits, SMOOTHING)
    np.testing.assert_allclose(smooth(times, logits), expected, rtol=1e-9)


def test_one_odd_frame_does_not_make_or_break_a_segment() -> None:
    times = np.arange(0.0, 30.0, 0.5)
    logits = np.where((times >= 10) & (times < 20), 3.0, -3.0)
    logits[5], logits[30] = 4.0, -4.0  # one flash before, one miss within
    (segment,) = find_segments(times, logits, smooth(times, logits))
    assert (segment.start, segment.end) == pytest.approx((9.75, 19.75))
    assert 10 <= segment.peak < 20
    assert segment.highest > 0.95
    assert segment.frames == 20


def test_frames_close_together_are_one_witness() -> None:
    weak = np.full(40, 0.5)
    dense, sparse = smooth(np.arange(0.0, 0.4, 0.01), weak), smooth(np.arange(0.0, 40.0), weak)
    assert dense[20] < 0.75 < sparse[20]


def test_a_long_gap_forgets() -> None:
    near = smooth(np.array([0.0, 1.0]), np.array([4.0, 0.0]))
    far = smooth(np.array([0.0, 600.0]), np.array([4.0, 0.0]))
    assert near[1] > 0.85
    assert far[1] == pytest.approx(0.5, abs=0.01)


def test_leaving_needs_more_doubt_than_entering() -> None:
    times = np.arange(12.0)
    smoothed = np.array([0.1, 0.75, 0.6, 0.5, 0.45, 0.6, 0.3, 0.5, 0.6, 0.65, 0.1, 0.1])
    (segment,) = find_segments(times, np.zeros(12), smoothed)
    assert (segment.start, segment.end) == (0.5, 5.5)


def test_flickers_are_left_out_and_ends_are_kept() -> None:
    times = np.array([0.0, 0.2, 0.4, 5.0, 6.0])
    smoothed = np.array([0.1, 0.9, 0.1, 0.9, 0.9])
    found = find_segments(times, np.zeros(5), smoothed)
    assert [(one.start, one.end) for one in found] == [(2.7, 6.0)]
    assert len(find_segments(times, np.zeros(5), smoothed, replace(SMOOTHING, shortest=0.1))) == 2


def test_nothing_gives_nothing() -> None:
    empty = np.zeros(0)
    assert len(smooth(empty, empty)) == 0
    assert find_segments(empty, empty, empty) == []
