"""The report's charts as inline SVG. Pure; colours come from the style sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from streetvision.base.document import chart, empty_chart
from streetvision.base.html import Html, el, join
from streetvision.evaluation.calibration import reliability
from streetvision.evaluation.figures import Estimate, Sample
from streetvision.evaluation.ranking import roc_curve
from streetvision.evaluation.robustness import Hardship
from streetvision.evaluation.wording import NOTHING, interval, number

SIZE = WIDTH, HEIGHT = 320.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 10.0, 40.0
"""Margins of the plot."""
ACROSS, UP = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
BINS = 20
"""Of the histogram."""

Point = tuple[float, float]


def reliability_chart(sample: Sample) -> Html:
    """What was said beside what was so; dots as large as their share of the answers."""
    found = [one for one in reliability(sample.probabilities, sample.labels) if one.count]
    dots = [
        el(
            "circle",
            el("title", f"P {one.low:.2f} to {one.high:.2f}: {one.count:,} pictures, {one.share:.0%} with roadwork"),
            cx=_x(one.mean),
            cy=_y(one.share),
            r=2.5 + 9.0 * (one.count / len(sample)) ** 0.5,
            class_="dot soft",
        )
        for one in found
    ]
    line = _path([(one.mean, one.share) for one in found])
    return chart(
        "Reliability",
        "on the diagonal, probabilities are true",
        SIZE,
        _axes("stated P(roadwork)", "share with roadwork"),
        _diagonal(),
        line,
        *dots,
    )


def roc_chart(sample: Sample, operating: tuple[float, float]) -> Html:
    """The ROC curve; `operating` is the point (false alarms, recall) at which the model answers."""
    curve = roc_curve(sample.logits, sample.labels)
    if curve is None:
        return empty_chart("ROC curve", "Nothing to show: it takes pictures of both classes.")
    points = _thinned(list(zip(curve.false_alarms.tolist(), curve.recall.tolist(), strict=True)))
    x, y = operating
    here = el("circle", el("title", f"recall {y:.3f}, false alarms {x:.3f}"), cx=_x(x), cy=_y(y), r=5.0, class_="dot")
    words = f"the dot is where it answers: recall {y:.2f}, false alarms {x:.2f}"
    return chart("ROC curve", words, SIZE, _axes("false alarms", "recall"), _diagonal(), _path(points), here)


def answers_chart(sample: Sample) -> Html:
    """How probabilities are spread, of pictures with roadwork above those without."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    counts = [np.histogram(sample.probabilities[sample.labels == label], edges)[0] for label in (True, False)]
    most = max(1, *(int(one.max()) for one in counts))
    bars = []
    for place in range(BINS):
        low, high = float(edges[place]), float(edges[place + 1])
        for count, up, kind in zip((one[place] for one in counts), (True, False), ("ok", "bad"), strict=True):
            bars.append(_half_bar(low, high, 0.5 * float(count) / most, up=up, kind=kind, count=int(count)))
    middle = el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=_y(0.5), y2=_y(0.5), class_="grid")
    border = el("line", x1=_x(0.5), x2=_x(0.5), y1=TOP, y2=HEIGHT - BOTTOM, class_="dashed")
    words = [
        el("text", "with roadwork", x=_x(0.5) - 6, y=TOP + 12, text_anchor="end"),
        el("text", "without", x=_x(0.5) + 6, y=HEIGHT - BOTTOM - 6),
    ]
    return chart("Answers", f"at most {most:,} in a bar", SIZE, _below("P(roadwork)"), middle, *bars, border, *words)


def _half_bar(low: float, high: float, size: float, *, up: bool, kind: str, count: int) -> Html | None:
    if not count:
        return None
    top, bottom = (_y(0.5 + size), _y(0.5)) if up else (_y(0.5), _y(0.5 - size))
    title = el("title", f"P {low:.2f} to {high:.2f}: {count:,} {'with' if up else 'without'} roadwork")
    return el(
        "rect", title, x=_x(low) + 0.6, y=top, width=ACROSS / BINS - 1.2, height=bottom - top, class_=f"bar {kind}"
    )


def hardship_chart(kind: str, steps: Sequence[Hardship], plain: float) -> Html:
    """Accuracy at each degree of one distortion, with its interval; dashed: the pictures as they are."""
    height, top, bottom = 130.0, 22.0, 24.0

    def y(value: float) -> float:
        return top + (height - top - bottom) * (1.0 - value)

    step_width = (WIDTH - 24.0) / len(steps)
    drawn = [
        _step(one, 12.0 + step_width * (place + 0.5), min(44.0, 0.6 * step_width), y) for place, one in enumerate(steps)
    ]
    base = el("line", x1=12.0, x2=WIDTH - 12.0, y1=y(plain), y2=y(plain), class_="dashed")
    told = ", ".join(f"{one.step} {number(one.figures['accuracy'].value)}" for one in steps)
    floor = el("line", x1=12.0, x2=WIDTH - 12.0, y1=y(0.0), y2=y(0.0), class_="grid")
    picture = el(
        "svg", floor, *drawn, base, viewBox=f"0 0 {WIDTH:g} {height:g}", role="img", aria_label=f"{kind}: {told}"
    )
    return el("figure", el("figcaption", el("b", kind)), picture, class_="card chart")


def _step(one: Hardship, x: float, width: float, y: Callable[[float], float]) -> Html:
    found: Estimate = one.figures["accuracy"]
    name = el("text", one.step, x=x, y=y(0.0) + 16.0, text_anchor="middle")
    if found.value is None:
        return join(name, el("text", NOTHING, x=x, y=y(0.1), text_anchor="middle"))
    words = el("title", f"{one.kind} {one.step}: {number(found.value)} ({interval(found) or 'no interval'})")
    bar = el(
        "rect",
        words,
        x=x - width / 2,
        y=y(found.value),
        width=width,
        height=y(0.0) - y(found.value),
        class_=f"bar {'bad' if one.worse else 'ok'}",
    )
    spread = None
    if found.low is not None and found.high is not None:
        spread = el("line", x1=x, x2=x, y1=y(found.high), y2=y(found.low), class_="spread")
    value = el("text", f"{found.value:.2f}", x=x, y=14.0, text_anchor="middle", class_="strong")
    return join(bar, spread, name, value)


def _x(value: float) -> float:
    return LEFT + ACROSS * value


def _y(value: float) -> float:
    return TOP + UP * (1.0 - value)


def _path(points: Sequence[Point]) -> Html:
    text = "L".join(f"{_x(x):.1f} {_y(y):.1f}" for x, y in points)
    return el("path", d=f"M{text}" if text else "M0 0", class_="line")


def _diagonal() -> Html:
    return el("line", x1=_x(0.0), y1=_y(0.0), x2=_x(1.0), y2=_y(1.0), class_="dashed")


def _axes(across: str, up: str) -> Html:
    lines = [el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=_y(v), y2=_y(v), class_="grid") for v in FIFTHS]
    words = [el("text", f"{v:g}", x=LEFT - 6, y=_y(v) + 4, text_anchor="end") for v in FIFTHS]
    turned = f"rotate(-90 12 {TOP + UP / 2:g})"
    side = el("text", up, x=12.0, y=TOP + UP / 2, text_anchor="middle", transform=turned)
    return join(*lines, *words, side, _below(across))


def _below(name: str) -> Html:
    words = [el("text", f"{v:g}", x=_x(v), y=HEIGHT - BOTTOM + 15, text_anchor="middle") for v in FIFTHS]
    return join(*words, el("text", name, x=LEFT + ACROSS / 2, y=HEIGHT - 7, text_anchor="middle"))


def _thinned(points: list[Point], most: int = 400) -> list[Point]:
    """A curve of tens of thousands of points looks the same with a few hundred."""
    every = max(1, len(points) // most)
    return [*points[::every], points[-1]]
