"""Axes: round ticks for values, dates for times. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil, floor, log10

from streetvision.monitor.thresholds import DAY, HOUR

_TIME_STEPS = (
    300, 600, 1800, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY,
    60 * DAY, 120 * DAY, 365 * DAY,
)  # fmt: skip


def bounds(values: Sequence[float], *, from_zero: bool, least: float) -> tuple[float, float]:
    """Where an axis begins and ends: room around the values, never a span below `least`."""
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    low = 0.0 if from_zero else low
    if high - low < least:
        middle = (high + low) / 2
        low, high = (0.0, least) if from_zero else (middle - least / 2, middle + least / 2)
    room = 0.06 * (high - low)
    return (low if from_zero else low - room), high + room


def ticks(low: float, high: float, about: int = 4, *, whole: bool = False) -> list[float]:
    """Round values within the bounds, `about` so many."""
    raw = (high - low) / max(1, about)
    size = 10.0 ** floor(log10(raw))
    step = next(size * part for part in (1, 2, 5, 10) if size * part >= raw)
    step = max(1.0, step) if whole else step
    return [step * place for place in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def time_ticks(since: float, until: float, most: int = 7) -> list[tuple[float, str]]:
    """Moments (UTC) and their labels."""
    step = next((s for s in _TIME_STEPS if (until - since) / s <= most), _TIME_STEPS[-1])
    first = ceil(since / step)
    return [(place * step, clock(place * step, step)) for place in range(first, floor(until / step) + 1)]


def clock(time: float, step: float) -> str:
    """`14:30`, or `3 Nov` where the steps are days."""
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment.day} {moment:%b}" if step >= DAY else f"{moment:%H:%M}"


def number(value: float) -> str:
    """`0.0045`, `13.4`, `1,200`, `12 k`."""
    size = abs(value)
    if size >= 10_000:
        return f"{value / 1000:,.3g} k"
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if size >= 0.001 else f"{value:.1e}"
