"""From single frames' logits to a probability over time, and from that to segments. Pure.

A hidden Markov chain with two states, roadwork in view or not, in continuous time. Over a gap of d seconds the state
changes with probability c(d) = (1 - exp(-2 d / dwell)) / 2, so uneven frames and gaps need no special case; both states
are equally likely at first. A frame with logit l, clipped to `clip`, multiplies the odds by exp(w l): neighbouring
frames are nearly the same picture and must not count as independent witnesses, hence w = min(1, d / apart), with d the
gap to the frame before. Forward and backward passes (Rabiner 1989, "A tutorial on hidden Markov models") give
P(roadwork) at each frame from all frames before and after it.

Segments come by hysteresis: one begins where that probability reaches `enter`, ends where it falls below `leave`, and
counts when it lasts `shortest` seconds. Its ends lie halfway between the frames on either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How frames become segments; times in seconds."""

    dwell: float = 10.0
    """Mean time in a state before it changes."""
    apart: float = 1.0
    """Distance from which two frames count as independent evidence."""
    clip: float = 4.0
    """Largest logit that one frame may bring: a single picture of 98 % is no proof."""
    enter: float = 0.7
    leave: float = 0.4
    shortest: float = 1.0
    """Seconds below which a segment is taken for a flicker."""


SMOOTHING = Smoothing()


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a video in which roadwork is in view."""

    start: float
    end: float
    """Seconds from the video's beginning."""
    peak: float
    """Time of the frame that the model is surest of."""
    highest: float
    """P(roadwork) of that frame by itself."""
    mean: float
    """Mean of the frames' own probabilities."""
    frames: int
    """Frames that were answered in it."""


def smooth(times: Series, logits: Series, rule: Smoothing = SMOOTHING) -> Series:
    """P(roadwork) at each of the ascending times [N], given all logits [N]."""
    if not len(times):
        return np.zeros(0)
    gaps = np.diff(times, prepend=times[0] - rule.apart)
    evidence = np.clip(logits, -rule.clip, rule.clip) * np.minimum(1.0, gaps / rule.apart)
    likely = 1.0 / (1.0 + np.exp(-evidence))
    change = (1.0 - np.exp(-2.0 * gaps / rule.dwell)) / 2.0
    forward = _forward(likely, change)
    backward = _backward(likely, change)
    both = forward * backward
    return np.asarray(both / (both + (1.0 - forward) * (1.0 - backward)))


def _forward(likely: Series, change: Series) -> Series:
    """P(state | evidence up to and with each frame)."""
    out, before = np.empty_like(likely), 0.5
    for place, (now, switch) in enumerate(zip(likely, change, strict=True)):
        prior = before * (1.0 - switch) + (1.0 - before) * switch
        before = prior * now / (prior * now + (1.0 - prior) * (1.0 - now))
        out[place] = before
    return out


def _backward(likely: Series, change: Series) -> Series:
    """How far the evidence after each frame speaks for the state there, as a share of both."""
    out, after = np.empty_like(likely), 0.5
    for place in range(len(likely) - 1, -1, -1):
        out[place] = after
        seen = after * likely[place]
        seen /= seen + (1.0 - after) * (1.0 - likely[place])
        after = seen * (1.0 - change[place]) + (1.0 - seen) * change[place]
    return out


def find_segments(times: Series, logits: Series, smoothed: Series, rule: Smoothing = SMOOTHING) -> list[Segment]:
    """Where roadwork is in view, in order of time."""
    edges = np.concatenate([times[:1], (times[1:] + times[:-1]) / 2.0, times[-1:]])
    found = [_segment(times, logits, edges, first, last) for first, last in _spans(smoothed, rule)]
    return [segment for segment in found if segment.end - segment.start >= rule.shortest]


def _spans(smoothed: Series, rule: Smoothing) -> list[tuple[int, int]]:
    """First and last frame of each stretch."""
    spans: list[tuple[int, int]] = []
    first: int | None = None
    for place, value in enumerate(smoothed):
        if first is None and value >= rule.enter:
            first = place
        elif first is not None and value < rule.leave:
            spans.append((first, place - 1))
            first = None
    return spans if first is None else [*spans, (first, len(smoothed) - 1)]


def _segment(times: Series, logits: Series, edges: Series, first: int, last: int) -> Segment:
    inside = slice(first, last + 1)
    own = probabilities(logits[inside])
    best = int(own.argmax())
    return Segment(
        float(edges[first]), float(edges[last + 1]), float(times[first + best]), float(own[best]), float(own.mean()),
        last + 1 - first,
    )  # fmt: skip


def probabilities(logits: Sequence[float] | Series) -> Series:
    """The logistic function of logits [N]."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.asarray(logits, np.float64))))
