"""A figure over the steps of a training, as inline SVG. Pure; colours come from the style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from streetvision.base.document import chart, empty_chart
from streetvision.base.html import Html, el

SIZE = WIDTH, HEIGHT = 460.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 10.0, 34.0
"""Margins of the plot."""
LINES = 4
"""Parts that the axis of the figure is divided into."""

Point = tuple[float, float]


def curve(title: str, points: Sequence[Point]) -> Html:
    """(step, figure) in order of steps; what is not finite is left out."""
    sound = [point for point in points if isfinite(point[1])]
    if len(sound) < 2:
        return empty_chart(title, "Nothing to show: too few validations.")
    steps, values = [x for x, _ in sound], [y for _, y in sound]
    low, high = _bounds(values)
    placed = [
        (_across(x, steps[0], steps[-1]), TOP + (HEIGHT - TOP - BOTTOM) * (1 - (y - low) / (high - low)))
        for x, y in sound
    ]
    line = el("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed), class_="line")
    last = el(
        "circle",
        el("title", f"step {steps[-1]:,.0f}: {values[-1]:.3f}"),
        cx=placed[-1][0],
        cy=placed[-1][1],
        r=4.0,
        class_="dot",
    )
    words = f"{values[0]:.3f} at first, {values[-1]:.3f} at last"
    return chart(title, words, SIZE, *_grid(low, high), *_below(steps[0], steps[-1]), line, last)


def _bounds(values: Sequence[float]) -> Point:
    """A little room above and below, also where all values are the same."""
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.01
    return low - room, high + room


def _across(step: float, first: float, last: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * ((step - first) / (last - first) if last > first else 0.5)


def _grid(low: float, high: float) -> list[Html]:
    drawn = []
    for place in range(LINES + 1):
        y = TOP + (HEIGHT - TOP - BOTTOM) * place / LINES
        value = high - (high - low) * place / LINES
        drawn.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(el("text", f"{value:.3f}", x=LEFT - 6, y=y + 4, text_anchor="end"))
    return drawn


def _below(first: float, last: float) -> list[Html]:
    ends = ((LEFT, "start", first), (WIDTH - RIGHT, "end", last))
    words = [el("text", f"{step:,.0f}", x=x, y=HEIGHT - BOTTOM + 16, text_anchor=anchor) for x, anchor, step in ends]
    return [*words, el("text", "step", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6, text_anchor="middle")]
