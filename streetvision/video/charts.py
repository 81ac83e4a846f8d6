"""The timeline of a video as inline SVG: the probability of single frames, smoothed, and the segments. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streetvision.base.document import chart, empty_chart
from streetvision.base.html import Html, el
from streetvision.base.wording import plural
from streetvision.video.clock import hms
from streetvision.video.smoothing import Segment, Series

SIZE = WIDTH, HEIGHT = 1200.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 12.0, 30.0
"""Margins of the plot."""
MOST_POINTS = 1200
"""Columns that a line is thinned to; each keeps its extremes, so that no peak is lost."""
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000)
"""Seconds between labels of the axis."""
TITLE = "P(roadwork) over time"


def timeline(times: Series, raw: Series, smoothed: Series, segments: Sequence[Segment], seconds: float) -> Html:
    """`raw` and `smoothed` are probabilities at the times [N]; `seconds` is the length of the video."""
    if not len(times):
        return empty_chart(TITLE, "Nothing to show: no frame was answered.")
    length = max(seconds, float(times[-1]), 1e-3)
    words = f"{plural(len(segments), 'segment')} in {hms(length)}; dots are single frames, the line is smoothed"
    return chart(
        TITLE,
        words,
        SIZE,
        *(_shade(one, place, length) for place, one in enumerate(segments, start=1)),
        *_grid(),
        *_axis(length),
        el("path", d=_dots(times, raw, length), class_="frames"),
        el("path", d=_line(times, smoothed, length), class_="line"),
    )


def _x(time: float, length: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * time / length


def _y(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share)


def _shade(segment: Segment, place: int, length: float) -> Html:
    left, right = _x(segment.start, length), _x(segment.end, length)
    words = f"{place}: {hms(segment.start)} to {hms(segment.end)}"
    height = HEIGHT - TOP - BOTTOM
    return el("rect", el("title", words), x=left, y=TOP, width=max(1.5, right - left), height=height, class_="segment")


def _grid() -> list[Html]:
    drawn = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        drawn.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=_y(share), y2=_y(share), class_="grid"))
        drawn.append(el("text", f"{share:g}", x=LEFT - 6, y=_y(share) + 4, text_anchor="end"))
    return drawn


def _axis(length: float) -> list[Html]:
    step = next((step for step in STEPS if length / step <= 12), STEPS[-1])
    times = range(0, int(length) + 1, step)
    return [
        el(
            "text",
            hms(time),
            x=_x(time, length),
            y=HEIGHT - 10,
            text_anchor="start" if time == 0 else "end" if _x(time, length) > WIDTH - 40 else "middle",
            class_="spare" if place % 2 else None,
        )
        for place, time in enumerate(times)
    ]


def _dots(times: Series, values: Series, length: float) -> str:
    """Single frames as round ends of lines without a length: one path, however many there are."""
    places = _thinned(values)
    return "".join(f"M{_x(times[at], length):.1f} {_y(values[at]):.1f}h0" for at in places)


def _line(times: Series, values: Series, length: float) -> str:
    return "M" + "L".join(f"{_x(times[at], length):.1f} {_y(values[at]):.1f}" for at in _thinned(values))


def _thinned(values: Series) -> list[int]:
    """Places of the values that are drawn: all, or the lowest and the highest of each column."""
    if len(values) <= 2 * MOST_POINTS:
        return list(range(len(values)))
    columns = np.array_split(np.arange(len(values)), MOST_POINTS)
    kept = {int(column[pick]) for column in columns for pick in (values[column].argmin(), values[column].argmax())}
    return sorted(kept)
