"""The page of a fleet: what all earn together, then a row for each. Pure; style and script are the miners' own."""

from __future__ import annotations

from collections.abc import Iterator

from streetvision.base.document import document, theme_choices
from streetvision.base.html import Html, el, join, prose
from streetvision.base.page_style import STYLE
from streetvision.base.wording import duration, moment, plural
from streetvision.fleet.schema import FleetStatus, MinerRow
from streetvision.fleet.wording import (
    SEVERITIES,
    emission_words,
    findings_words,
    keeper_words,
    rank_words,
    shared_findings,
    why_words,
)
from streetvision.page.assets import SCRIPT
from streetvision.page.page import POLICY, REFRESH_S
from streetvision.status.wording import NOTHING, milliseconds, printable

COLUMNS = (
    "Miner", "State", "UID", "Rank", "Emission, α a day", "Incentive", "Eviction", "Requests a minute", "p99, ms",
    "Findings", "Restarts", "Memory, MiB", "Up",
)  # fmt: skip


def render_fleet(found: FleetStatus) -> str:
    """The document."""
    status: FleetStatus = printable(found)
    totals = status["totals"]
    title = f"{totals['serving']} of {totals['miners']} serving · streetvision fleet"
    refresh = el("input", type="checkbox", id="refresh", checked=True, disabled=True, data_seconds=REFRESH_S)
    state = "serving" if totals["serving"] == totals["miners"] else "degraded"
    heading = el(
        "h1",
        "streetvision · fleet ",
        el("span", f"{totals['serving']} of {totals['miners']} serving", class_=f"state {state}"),
    )
    return document(
        title,
        el("header", heading, theme_choices(el("label", refresh, "refresh"))),
        el("main", *_main(status), id="main"),
        _footer(),
        el("script", Html(SCRIPT)),
        style=STYLE,
        policy=POLICY,
        head=el("noscript", el("meta", http_equiv="refresh", content="60")),
    )


def _main(status: FleetStatus) -> Iterator[Html]:
    about = f"{keeper_words(status)}. Settings {status['file']}, version {status['version']}. "
    yield el("p", about, f"As of {moment(status['taken_at'])}.", class_="about quiet")
    yield _tiles(status)
    yield el("section", el("h2", "Miners"), _table(status))
    yield el("section", el("h2", "What to do"), *_to_do(status))


def _tiles(status: FleetStatus) -> Html:
    totals = status["totals"]
    tao = totals["tao_per_day"]
    found = totals["findings"]
    tiles = (
        ("Emission a day", f"{totals['emission_per_day']:.4g} α", "" if tao is None else f"{tao:.3g} TAO"),
        ("Registered", f"{totals['registered']}", f"of {plural(totals['miners'], 'miner')}"),
        ("Requests a minute", f"{totals['per_minute']:.3g}", "of all miners"),
        (
            "Findings",
            f"{sum(found.values())}",
            ", ".join(f"{n} {severity}" for severity, n in found.items()) or "of those that answer",
        ),
    )
    return el("dl", *(_tile(*tile) for tile in tiles), class_="tiles")


def _tile(name: str, big: str, small: str) -> Html:
    shown = el("dd", small, class_="small") if small else None
    return el("div", el("dt", name), el("dd", big, class_="big"), shown, class_="card")


def _table(status: FleetStatus) -> Html:
    left = ("Miner", "State", "Findings")
    head = el("tr", *(el("th", name, scope="col", class_="left" if name in left else None) for name in COLUMNS))
    rows = [_row(row, status["taken_at"]) for row in status["miners"]]
    caption = el("caption", "A miner's name leads to its own page. Memory that several share is divided among them.")
    table = el("table", caption, el("thead", head), el("tbody", *rows), id="miners")
    return el("div", table, class_="card scroll", tabindex=0, role="region", aria_label="Miners")


def _row(row: MinerRow, now: float) -> Html:
    up, memory = row["up_since"], row["memory"]
    restarts = row["restarts"]
    return el(
        "tr",
        el("th", el("a", row["name"], href=f"miners/{row['name']}/"), scope="row", class_="left"),
        el("td", el("span", row["state"], class_=f"state {_kind(row['state'])}"), class_="left"),
        _number(row["uid"], NOTHING if row["uid"] is None else str(row["uid"])),
        _number(None if row["rank"] is None else -row["rank"], rank_words(row)),
        _number(row["emission_per_day"], emission_words(row)),
        _number(row["incentive"], NOTHING if row["incentive"] is None else f"{row['incentive']:.4g}"),
        _number(row["position"], NOTHING if row["position"] is None else str(row["position"])),
        _number(row["per_minute"], NOTHING if row["per_minute"] is None else f"{row['per_minute']:.3g}"),
        _number(row["p99"], milliseconds(row["p99"])),
        el("td", findings_words(row), class_="left wrong" if row["findings"] else "left"),
        _number(restarts, NOTHING if restarts is None else str(restarts), "wrong" if restarts else None),
        _number(memory, NOTHING if memory is None else f"{memory / 2**20:,.0f}"),
        _number(up and now - up, NOTHING if up is None else duration(max(0.0, now - up))),
    )


def _kind(state: str) -> str:
    """The style's word for a state that only a fleet knows."""
    return "stopped" if state in ("down", "silent", "stopped") else state


def _number(value: float | None, words: str, kind: str | None = None) -> Html:
    """A cell that sorts by its value; what is not known comes last."""
    return el("td", words, data_value=f"{-1e18 if value is None else value:.6g}", class_=kind)


def _to_do(status: FleetStatus) -> Iterator[Html]:
    """Why a miner does not serve, then the findings, one card for those that several miners share."""
    absent = [row for row in status["miners"] if row["why"]]
    for row in absent:
        severity = "critical" if _kind(row["state"]) == "stopped" else "info"
        yield _card(severity, f"{row['name']}: {why_words(row, status['taken_at'])}")
    found = shared_findings(status)
    for (severity, title, remedy), names in found.items():
        yield _card(severity, f"{', '.join(names)}: {title}", remedy)
    if not found and not absent:
        yield el("p", "No findings: nothing is wrong as far as can be seen.", class_="quiet")


def _card(severity: str, title: str, remedy: str = "") -> Html:
    kind = severity if severity in SEVERITIES else SEVERITIES[-1]
    what = el("p", el("b", "What to do: "), prose(remedy)) if remedy else None
    return el("article", el("span", kind, class_="label"), el("h3", prose(title)), what, class_=f"card finding {kind}")


def _footer() -> Html:
    links = join(el("a", "the same as JSON", href="api/fleet.json"), " and ", el("a", "metrics", href="metrics"))
    return el("footer", "Times are UTC. There is ", links, ". ", el("span", id="said", role="status"))
