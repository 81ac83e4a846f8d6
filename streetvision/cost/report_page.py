"""The estimate as one page that needs nothing else: no network, no script, light and dark.

Titles and sources may come from an operator's file: all of them are escaped (streetvision/base/html.py).
"""

from __future__ import annotations

import math

from streetvision.base.document import chart, document, source_hash, theme_choices
from streetvision.base.html import Html, el, join, prose
from streetvision.base.page_style import STYLE
from streetvision.base.wording import moment, plural, share
from streetvision.cost.estimate import Estimate
from streetvision.cost.report_text import TOLD, dollars, speed_words

SIZE = WIDTH, HEIGHT = 640.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 150.0, 14.0, 40.0
"""Margins of the plot."""
LABEL = 15.0
"""Height of a label."""
COLOURS = ("#1d62c9", "#0b6b3a", "#c2410c", "#7b3fb5", "#855000", "#b3261e", "#3d7a8c")
OWN_STYLE = "".join(f".w{place}{{stroke:{colour};fill:none;stroke-width:2}}" for place, colour in enumerate(COLOURS))
STYLES = STYLE + OWN_STYLE
POLICY = f"default-src 'none'; style-src {source_hash(STYLES)}; base-uri 'none'; form-action 'none'"


def render_page(found: Estimate, now: float) -> str:
    """The document; `now` is when it was made, in seconds since the epoch."""
    made = f"Made on {moment(now)} by `streetvision cost`; nothing is loaded from elsewhere."
    return document(
        "Cost · streetvision",
        el("header", el("h1", "What a month costs"), theme_choices()),
        el("main", _about(found), _chart(found), _table(found), _parts(found), _prices(found), id="main"),
        el("footer", prose(made)),
        style=STYLES,
        policy=POLICY,
    )


def _about(found: Estimate) -> Html:
    at = found.place
    words = (
        f"{plural(at.question.hotkeys, 'miner')}, each with {at.traffic.mean:.3g} requests a second "
        f"({at.traffic.peak:.3g} at the peak), from {at.traffic.told}. A ViT of the size {at.question.model} on "
        f"{at.question.card}: {speed_words(at.on_card)}; on the CPU: {speed_words(at.on_front)}. "
        "US dollars before taxes."
    )
    return el("p", words, class_="about")


def _chart(found: Estimate) -> Html:
    """Bills over the traffic, both axes by logarithm."""
    months = [bill.month for row in found.by_factor.values() for bill in row if bill.month]
    if not months:
        return el("p", "No way carries this traffic: see the table.", class_="none")
    factors = list(found.by_factor)
    low, high = math.log10(min(months)), math.log10(max(months)) + 0.05

    def x(factor: float) -> float:
        whole = math.log(factors[-1] / factors[0])
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(factor / factors[0]) / whole

    def y(month: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (math.log10(month) - low) / max(high - low, 1e-6))

    drawn, ends = list[Html](), dict[str, tuple[float, float]]()
    for place, way in enumerate(found.now):
        points = [(x(f), y(row[place].month or 1.0)) for f, row in found.by_factor.items() if row[place].month]
        if points:
            path = "L".join(f"{across:.1f} {up:.1f}" for across, up in points)
            drawn.append(el("path", el("title", way.title), d=f"M{path}", class_=f"w{place % len(COLOURS)}"))
            ends[way.way] = points[-1]
    drawn += [el("text", way, x=across + 6, y=up + 4) for way, (across, up) in _apart(ends).items()]
    names = [el("text", f"x{f:g}", x=x(f), y=HEIGHT - BOTTOM + 16, text_anchor="middle") for f in factors]
    rules = [_rule(month, y(month)) for month in _decades(low, high)]
    return chart("Monthly bill", "over so many times the traffic", SIZE, *rules, *names, *drawn)


def _apart(ends: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The places of labels, moved up where they would lie upon each other."""
    placed: dict[str, tuple[float, float]] = {}
    for way, (across, up) in sorted(ends.items(), key=lambda item: -item[1][1]):
        beside = [high for left, high in placed.values() if abs(left - across) < RIGHT]
        placed[way] = (across, min([up, *(high - LABEL for high in beside)]))
    return placed


def _decades(low: float, high: float) -> list[float]:
    return [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)]


def _rule(month: float, up: float) -> Html:
    line = el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=up, y2=up, class_="grid")
    return join(line, el("text", dollars(month), x=LEFT - 6, y=up + 4, text_anchor="end"))


def _table(found: Estimate) -> Html:
    heads = el("tr", el("th", "way", class_="left"), *(el("th", f"x{factor:g}") for factor in found.by_factor))
    rows = []
    for place, way in enumerate(found.now):
        cells = [
            el("td", dollars(row[place].month), title=row[place].limit or None) for row in found.by_factor.values()
        ]
        rows.append(el("tr", el("td", f"{way.title} ({way.way})", class_="left"), *cells))
    return _scrolled(heads, rows)


def _parts(found: Estimate) -> Html:
    items = []
    for bill in found.now:
        lines = "; ".join(f"{line.count:.3g} x {line.what} {dollars(line.month)}" for line in bill.lines)
        is_cold = bill.cold is not None and bill.cold >= TOLD
        cold = f"; {share(bill.cold or 0.0)} of the requests find no container warm" if is_cold else ""
        items.append(join(el("dt", bill.title), el("dd", (lines or bill.limit) + cold)))
    return join(el("h2", "What the bills are made of"), el("dl", *items, class_="facts"))


def _prices(found: Estimate) -> Html:
    at = found.place
    used = [(one.title, f"${one.hour:.4g} an hour", one) for one in (at.front, at.rented)]
    heads = el("tr", *(el("th", name, class_="left") for name in ("what", "price", "seen", "source")))
    rows = [
        el("tr", *(el("td", word, class_="left") for word in (what, price, str(of.seen), of.source)))
        for what, price, of in used
    ]
    modal = at.prices.modal_second.get(at.question.card)
    if modal is not None:
        words = (f"Modal, {at.question.card}", f"${modal.second:.6f} a second", str(modal.seen), modal.source)
        rows.append(el("tr", *(el("td", word, class_="left") for word in words)))
    return join(el("h2", "Prices"), _scrolled(heads, rows))


def _scrolled(heads: Html, rows: list[Html]) -> Html:
    return el("div", el("table", el("thead", heads), el("tbody", *rows)), class_="card scroll", tabindex="0")
