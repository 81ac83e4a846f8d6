"""Charts as inline SVG: lines over time, bars over time, histograms. Pure; colours come from the style sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, floor, log10

from streetvision.base.document import chart, empty_chart
from streetvision.base.html import Html, el, join
from streetvision.base.wording import moment
from streetvision.monitor.thresholds import DAY, HOUR
from streetvision.status.schema import RequestSeries, StandingSeries, Track

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


SIZE = WIDTH, HEIGHT = 560.0, 200.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 12.0, 12.0, 28.0
"""Margins of the plot."""
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

NOTHING_YET = "Nothing to show yet."

Words = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Measure:
    """How one track is drawn."""

    title: str
    key: str
    """Of StandingSeries."""
    words: Words = number
    best_is_low: bool = False
    from_zero: bool = True
    least: float = 1e-3
    """Smallest span of the axis."""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class _Frame:
    """From data to pixels."""

    low: float
    high: float
    upside_down: bool = False

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return TOP + PLOT_HEIGHT * (share if self.upside_down else 1 - share)


def line_chart(series: StandingSeries, measure: Measure, latest: float | None) -> Html:
    """One track over time, its lowest and highest in each interval as a band behind the mean.

    `latest` is the newest value: the line ends there, with a dot, at the end of the last interval that has any.
    """
    track: Track = series[measure.key]  # type: ignore[literal-required]  # one of the tracks
    known = [v for column in (track["low"], track["high"]) for v in column if v is not None]
    if not known:
        return empty_chart(measure.title, NOTHING_YET)
    shown = known if latest is None else [*known, latest]
    low, high = bounds(shown, from_zero=measure.from_zero, least=measure.least)
    frame = _Frame(max(low, 1.0) if measure.best_is_low and low < 1 else low, high, measure.best_is_low)
    count = len(track["mean"])
    until = series["since"] + count * series["step"]
    return chart(
        measure.title,
        _summary(track, measure, latest),
        SIZE,
        _grid(frame, measure, series["since"], until),
        _band(track, frame, count),
        *_line(track["mean"], frame, latest),
        *_hits(track, measure, series),
    )


def _x(place: float, count: int) -> float:
    return LEFT + PLOT_WIDTH * place / count


def _grid(frame: _Frame, measure: Measure, since: float, until: float) -> Html:
    rows = [t for t in ticks(frame.low, frame.high, whole=measure.whole) if frame.low <= t <= frame.high]
    if measure.best_is_low and 1 not in rows and frame.low <= 1:
        rows = [1.0, *rows]
    lines = [el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=frame.y(t), y2=frame.y(t), class_="grid") for t in rows]
    words = [el("text", measure.words(t), x=LEFT - 6, y=frame.y(t) + 4, text_anchor="end") for t in rows]
    return join(*lines, *words, *_dates(since, until))


def _dates(since: float, until: float) -> list[Html]:
    """Labels under a time axis, every other one spare on a narrow screen; none so near an edge that it is cut."""
    made: list[Html] = []
    for time, label in time_ticks(since, until):
        x = LEFT + PLOT_WIDTH * (time - since) / (until - since)
        if LEFT + 4 <= x <= WIDTH - RIGHT - 16:
            spare = "spare" if len(made) % 2 else None
            made.append(el("text", label, x=x, y=HEIGHT - 8, text_anchor="middle", class_=spare))
    return made


def _band(track: Track, frame: _Frame, count: int) -> Html:
    """One closed path for each run without gaps."""
    paths = []
    for run in _runs(track["mean"]):
        upper = [(_x(i + 0.5, count), frame.y(_at(track["high"], i))) for i in run]
        lower = [(_x(i + 0.5, count), frame.y(_at(track["low"], i))) for i in reversed(run)]
        paths.append(f"M{_points(upper)}L{_points(lower)}Z")
    return el("path", d="".join(paths), class_="band")


def _line(values: Sequence[float | None], frame: _Frame, latest: float | None) -> list[Html]:
    count, places = len(values), _runs(values)
    runs = [[(_x(i + 0.5, count), frame.y(_at(values, i))) for i in run] for run in places]
    if latest is not None:
        runs[-1].append((_x(places[-1][-1] + 1, count), frame.y(latest)))
    path = el("path", d="".join(f"M{_points(run)}" for run in runs), class_="line")
    dots = [el("circle", cx=run[0][0], cy=run[0][1], r=1.6, class_="dot") for run in runs if len(run) == 1]
    x, y = runs[-1][-1]
    return [path, *dots, el("circle", cx=x, cy=y, r=3.2, class_="dot")]


def _runs(values: Sequence[float | None]) -> list[list[int]]:
    """Places of values that follow one another without a gap."""
    runs: list[list[int]] = []
    for place, value in enumerate(values):
        if value is None:
            continue
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def _at(values: Sequence[float | None], place: int) -> float:
    value = values[place]
    assert value is not None  # noqa: S101 - a run has values
    return value


def _points(points: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _hits(track: Track, measure: Measure, series: StandingSeries) -> list[Html]:
    """What a pointer is told, without a script: a transparent column for each interval."""
    count, made = len(track["mean"]), []
    for place, value in enumerate(track["mean"]):
        if value is not None:
            low, high = _at(track["low"], place), _at(track["high"], place)
            within = "" if low == high else f" ({measure.words(low)} to {measure.words(high)})"
            when = moment(series["since"] + (place + 1) * series["step"])
            made.append(_hit(place, count, f"{when}: {measure.words(value)}{within}"))
    return made


def _hit(place: int, count: int, words: str) -> Html:
    width = PLOT_WIDTH / count
    return el("rect", el("title", words), x=_x(place, count), y=TOP, width=width, height=PLOT_HEIGHT, class_="hit")


def _summary(track: Track, measure: Measure, latest: float | None) -> str:
    lows, highs = ([v for v in column if v is not None] for column in (track["low"], track["high"]))
    word = "last" if track["mean"][-1] is None else "now"
    now = "" if latest is None else f"{word} {measure.words(latest)}; "
    return f"{now}{measure.words(min(lows))} to {measure.words(max(highs))}"


def requests_chart(series: RequestSeries) -> Html:
    """Answered and failed requests, stacked, in each interval."""
    title, count = "Requests", len(series["answered"])
    totals = [good + bad for good, bad in zip(series["answered"], series["failed"], strict=True)]
    _, high = bounds(totals, from_zero=True, least=4.0)
    frame, until = _Frame(0.0, high), series["since"] + count * series["step"]
    bars = []
    for place, (total, bad) in enumerate(zip(totals, series["failed"], strict=True)):
        if total:
            bars.append(_column(place, count, frame, (bad, total), "ok"))
        if bad:
            bars.append(_column(place, count, frame, (0, bad), "bad"))
        when = moment(series["since"] + place * series["step"])
        bars.append(_hit(place, count, f"{when}: {total - bad:,} answered, {bad:,} failed"))
    known = {600.0: "ten minutes", 1800.0: "half an hour", 3600.0: "an hour", DAY: "a day"}
    each = known.get(series["step"], f"{series['step'] / 3600:g} hours")
    words = f"{sum(series['answered']):,} answered, {sum(series['failed']):,} failed; each bar is {each}"
    grid = _grid(frame, Measure(title, "", whole=True), series["since"], until)
    return chart(title, words, SIZE, grid, *bars)


def _column(place: int, count: int, frame: _Frame, ends: tuple[float, float], kind: str) -> Html:
    """A bar between two values."""
    width, gap = PLOT_WIDTH / count, min(1.5, 0.2 * PLOT_WIDTH / count)
    top, bottom = frame.y(ends[1]), frame.y(ends[0])
    x = _x(place, count) + gap / 2
    return el("rect", x=x, y=top, width=width - gap, height=max(0.8, bottom - top), class_=f"bar {kind}")


def histogram(
    title: str, counts: Sequence[int], labels: Sequence[tuple[float, str]], summary: str, each: Callable[[int], str]
) -> Html:
    """Bars of counts. `labels` stand under places (0 to len(counts)); `each` says what a bar is."""
    if not sum(counts):
        return empty_chart(title, NOTHING_YET)
    _, high = bounds(counts, from_zero=True, least=4.0)
    frame, count, total = _Frame(0.0, high), len(counts), sum(counts)
    grid = [el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=frame.y(t), y2=frame.y(t), class_="grid") for t in ticks(0, high)]
    words = [el("text", number(t), x=LEFT - 6, y=frame.y(t) + 4, text_anchor="end") for t in ticks(0, high)]
    under = [el("text", text, x=_x(place, count), y=HEIGHT - 8, text_anchor="middle") for place, text in labels]
    bars = [_column(i, count, frame, (0, n), "ok") for i, n in enumerate(counts) if n]
    hits = [_hit(i, count, f"{each(i)}: {n:,} ({n / total:.1%})") for i, n in enumerate(counts)]
    return chart(title, summary, SIZE, *grid, *words, *under, *bars, *hits)


def edges_within(counts: Sequence[int]) -> tuple[int, int]:
    """The first and last bin worth drawing: those with counts and a neighbour on each side."""
    used = [place for place, count in enumerate(counts) if count]
    if not used:
        return 0, len(counts) - 1
    return max(0, used[0] - 1), min(len(counts) - 1, used[-1] + 1)


def sampled(labels: Sequence[str], most: int = 8) -> list[tuple[float, str]]:
    """Every n-th of the labels between bins, so that none overlap."""
    every = -(-len(labels) // most)
    return [(place + 1.0, text) for place, text in enumerate(labels) if place % every == 0]
