"""The status page as text: complete, escaped, small, self-contained, and the same each time."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.base.html import Html, el, join, prose
from streetvision.base.page_style import STYLE
from streetvision.monitor.observation import RefusalView
from streetvision.monitor.retraining import RetrainView
from streetvision.monitor.thresholds import DAY
from streetvision.page.assets import SCRIPT
from streetvision.page.charts import LEFT, PLOT_WIDTH, RIGHT, WIDTH, bounds, line_chart, number, ticks, time_ticks
from streetvision.page.page import MOST_BYTES, POLICY, SERVED_POLICY, render_page
from streetvision.page.pictures import Picture
from streetvision.page.sections import MEASURES
from streetvision.status.redaction import shared
from streetvision.status.schema import Span

from ..status.worlds import HOSTILE, fresh, hostile, retraining, status

VOID = frozenset({"meta", "link", "img", "input", "br"})
PICTURE = Picture("/9j/4AAQ", 1.795e9, 0.51, 3, 4032, 3024)


class Tree(HTMLParser):
    """Checks that elements are closed in order; keeps tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += f"{data} "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_whole_page() -> None:
    tree = Tree(render_page(status(), [PICTURE]))
    for words in (
        "streetvision · UID 8", "Rank by incentive", "Emission a day", "validator-3",
        "canary 1.5.0 answers 10 % of the images", "P(roadwork) 0.510", "4032×3024", "Burned share",
        "Latency of answers", "1.4.0 (street-b)",
    ):  # fmt: skip
        assert words in tree.text, words
    assert len(tree.all("svg")) == 8
    assert len(tree.all("h1")) == len(tree.all("main")) == 1


def test_the_same_snapshot_gives_the_same_page() -> None:
    assert render_page(status()) == render_page(status())


def test_refused_requests_by_reason() -> None:
    rows = (RefusalView("headers_dropped", "validators' headers dropped by a proxy", 13, 12, 0.0),)
    text = Tree(render_page(status(refusals=rows))).text
    assert "validators' headers dropped by a proxy (headers_dropped)" in text
    assert "Counted by a running miner alone" in Tree(render_page(status(refusals=None))).text


def test_retraining_has_a_section_where_it_is_used() -> None:
    text = Tree(render_page(status(retrain=retraining(curves="https://wandb.ai/x")))).text
    for words in (
        "20261121-0200 promoted 1.4.0 60 min ago", "3.2 GPU hours, 6.50 of money this month", "5.0 days old",
        "3 promoted, 1 rolled back", "next 2026-11-21 21:06 UTC", "https://wandb.ai/x",
        "Retraining put version 1.4.0 on",
    ):  # fmt: skip
        assert words in text, words
    assert "GPU hours" not in Tree(render_page(status())).text
    waiting = Tree(render_page(status(retrain=RetrainView(problem="it is damaged")))).text
    assert "it is damaged" in waiting


@pytest.mark.parametrize("report", [False, True])
def test_a_fresh_miner_has_a_page(report: bool) -> None:
    tree = Tree(render_page(fresh(), report=report))
    for words in (
        "not registered",
        "The chain was not read yet",
        "No validator is known yet",
        "No images are kept yet",
    ):
        assert words in tree.text, words
    assert "None" not in tree.text
    assert "nan" not in tree.text.lower().split()


@pytest.mark.parametrize(
    "changes", [{"points": ()}, {"validators": ()}, {"latest_only": True}, {"unregistered": True}, {"endpoint": None}]
)
def test_what_is_missing_is_left_out(changes: dict[str, Any]) -> None:
    from ..status.worlds import observed

    if changes.pop("latest_only", False):
        changes["points"] = observed().points[-1:]
    if changes.pop("unregistered", False):
        changes["points"] = tuple(
            replace(p, uid=None, rank=None, registered_at=None, position=None) for p in observed().points
        )
    tree = Tree(render_page(status(**changes)))
    assert "None" not in tree.text


# -- hostile texts -----------------------------------------------------------------------------------------------------


def test_nothing_from_outside_becomes_markup() -> None:
    plain, tree = Tree(render_page(status())), Tree(render_page(hostile()))
    assert {name for name, _ in tree.tags} <= {name for name, _ in plain.tags} | {"code", "article"}
    assert len(tree.all("script")) == 1
    for _, attributes in tree.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    assert "onload=alert(1)" in tree.text
    assert all(
        "alert" not in (a.get("class") or "") + (a.get("id") or "") + (a.get("href") or "") for _, a in tree.tags
    )


def test_a_hostile_reason_for_no_pictures() -> None:
    assert "<svg onload" not in render_page(status(), [], HOSTILE)


@given(st.text(max_size=40), st.text(max_size=40))
def test_elements_escape_their_children_and_attributes(child: str, value: str) -> None:
    made = el("p", child, title=value)
    if "\x00" not in child + value and "\r" not in child + value:
        tree = Tree(made)
        assert tree.tags == [("p", {"title": value})]
        assert tree.text in (f"{child} ", "")
    assert prose(child).count("<") == 2 * prose(child).count("<code>")


def test_elements() -> None:
    assert el("p", "a<", Html("<b>"), None, 3, class_="x", data_value=1.0, hidden=True, id=None) == (
        '<p class="x" data-value="1" hidden>a&lt;<b>3</p>'
    )
    assert el("rect", x=1.25) == '<rect x="1.2"/>'
    assert el("img", alt="") == '<img alt="">'
    assert join("&", el("i", "x")) == "&amp;<i>x</i>"
    assert prose("run `a <b>` now") == "run <code>a &lt;b&gt;</code> now"
    assert prose("an odd ` one") == "an odd ` one"


# -- self-contained ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", [False, True])
def test_nothing_is_loaded_from_elsewhere(report: bool) -> None:
    text = render_page(status(), [PICTURE], report=report)
    tree = Tree(text)
    addresses = [value for _, a in tree.tags for name, value in a.items() if name in ("src", "href", "action", "data")]
    assert all(
        (v is not None and v.startswith(("data:image/jpeg;", "#"))) or v in ("metrics", "api/status.json")
        for v in addresses
    )
    assert not report or "metrics" not in addresses
    assert re.search(r"https?://|@import|url\(", text) is None
    assert not [name for name, _ in tree.tags if name in ("link", "iframe", "object", "embed", "form", "base")]


def test_the_policy_allows_this_script_and_this_style_alone() -> None:
    tree, text = Tree(render_page(status())), render_page(status())
    for tag, content in (("script", SCRIPT), ("style", STYLE)):
        inside = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        assert inside == content
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in POLICY
    assert "unsafe" not in SERVED_POLICY
    assert SERVED_POLICY.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in SERVED_POLICY
    assert tree.all("meta")[1] == {"http-equiv": "Content-Security-Policy", "content": POLICY}
    assert "</" not in STYLE + SCRIPT.replace("</script", "x")


def test_only_the_live_page_refreshes() -> None:
    live, report = Tree(render_page(status())), Tree(render_page(status(), report=True))
    assert any(a.get("http-equiv") == "refresh" for a in live.all("meta"))
    assert any(a.get("id") == "refresh" for a in live.all("input"))
    assert not any(a.get("http-equiv") == "refresh" for a in report.all("meta"))
    assert not any(a.get("id") == "refresh" for a in report.all("input"))


def test_the_page_stays_small_whatever_the_pictures() -> None:
    heavy = replace(PICTURE, jpeg="A" * 60_000)
    text = render_page(status(span=Span(90.0, 120)), [heavy] * 12)
    assert len(text.encode()) <= MOST_BYTES
    assert text.count("data:image/jpeg") >= 2
    assert len(render_page(status(span=Span(90.0, 120)), [PICTURE] * 12).encode()) < 200_000


def test_a_report_has_no_secrets() -> None:
    text = render_page(shared(status()), [PICTURE], report=True)
    for secret in ("/srv/models", "203.0.113.7", "4711"):
        assert secret not in text


# -- accessible --------------------------------------------------------------------------------------------------------


def test_charts_pictures_tables_and_controls_are_named() -> None:
    tree = Tree(render_page(status(), [PICTURE]))
    assert all(a.get("role") == "img" and a.get("aria-label") for a in tree.all("svg"))
    assert all(a.get("alt") for a in tree.all("img"))
    assert all(a.get("scope") in ("col", "row") for a in tree.all("th"))
    assert len(tree.all("caption")) == len(tree.all("table"))
    assert [name for name, _ in tree.tags].count("label") == len(tree.all("input"))
    assert len(tree.all("legend")) == len(tree.all("fieldset"))
    assert all(
        a.get("tabindex") == "0" and a.get("aria-label") for a in tree.all("div") if "scroll" in (a.get("class") or "")
    )
    assert tree.all("html")[0] == {"lang": "en"}


def luminance(colour: str) -> float:
    digits = colour if len(colour) == 7 else "#" + "".join(2 * c for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_are_told_apart(scheme: int) -> None:
    found = re.findall(r"--(\w+):light-dark\((#\w+),(#\w+)\)", STYLE)
    colours = {name: luminance(pair[scheme]) for name, *pair in found}
    for text in ("text", "quiet", "line", "bad", "good", "warn", "grave"):
        for behind in ("page", "card"):
            low, high = sorted((colours[text], colours[behind]))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, behind)


# -- axes --------------------------------------------------------------------------------------------------------------


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e6))
def test_ticks_are_few_round_and_within(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 6
    assert all(low - 1e-6 * span <= t <= low + span * (1 + 1e-6) + 1e-6 for t in found)


@given(st.floats(60.0, 4000 * DAY))
def test_dates_are_few(span: float) -> None:
    found = time_ticks(1.795e9, 1.795e9 + span)
    assert len(found) <= 12
    assert all(1.795e9 <= time <= 1.795e9 + span for time, _ in found)


def test_flat_histories_have_an_axis() -> None:
    assert bounds([5.0], from_zero=False, least=8.0)[0] < 5.0 < bounds([5.0], from_zero=False, least=8.0)[1]
    assert bounds([], from_zero=True, least=1.0) == (0.0, 1.06)
    assert [number(v) for v in (0, 0.00424, 12.53, 1234, 200_000, 0.00001)] == [
        "0",
        "0.00424",
        "12.5",
        "1,234",
        "200 k",
        "1.0e-05",
    ]


def test_a_track_without_a_value_says_so() -> None:
    series = status()["series"]
    assert series is not None
    empty: list[float | None] = [None] * len(series["rank"]["mean"])
    assert "Nothing to show yet" in line_chart(
        {**series, "rank": {"mean": empty, "low": empty, "high": empty}}, MEASURES[0], None
    )


def test_the_dot_stands_at_now() -> None:
    series = status()["series"]
    assert series is not None
    track: Any = {"mean": [10.0, 20.0], "low": [10.0, 15.0], "high": [10.0, 25.0]}
    chart = line_chart({**series, "rank": track}, MEASURES[0], 40.0)
    circle = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="3.2"', chart)
    grid = {
        float(x): float(y) for y, x in re.findall(r'<text x="56" y="([\d.]+)" text-anchor="end">(\d+)</text>', chart)
    }
    assert "now 40" in chart
    assert [float(x) for x, _ in circle] == [WIDTH - RIGHT]
    assert float(circle[0][1]) == pytest.approx(grid[40.0] - 4, abs=0.2)
    path = re.findall(r'<path d="([^"]+)" class="line"', chart)[0]
    assert path.endswith(f"{float(circle[0][0]):.1f} {float(circle[0][1]):.1f}")


def test_a_history_that_ended_is_not_called_now() -> None:
    series = status()["series"]
    assert series is not None
    track: Any = {"mean": [10.0, 20.0, None, None], "low": [10.0, 15.0, None, None], "high": [10.0, 25.0, None, None]}
    chart = line_chart({**series, "rank": track}, MEASURES[0], 20.0)
    assert "last 20;" in chart
    circle = re.findall(r'<circle cx="([\d.]+)" cy="[\d.]+" r="3.2"', chart)
    assert [float(x) for x in circle] == [LEFT + PLOT_WIDTH / 2]
