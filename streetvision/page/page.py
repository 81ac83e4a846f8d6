"""The whole document, and the policy it is to be served under. Pure: the same snapshot gives the same page.

Nothing is loaded from anywhere: the policy forbids it, in a header and in the document itself, so that a report that
was saved as a file is under it too.
"""

from __future__ import annotations

from collections.abc import Sequence

from streetvision.base.document import document, source_hash, theme_choices
from streetvision.base.html import Html, el, join, prose
from streetvision.base.page_style import STYLE
from streetvision.base.wording import duration, moment
from streetvision.page import sections, tables
from streetvision.page.assets import SCRIPT
from streetvision.page.pictures import Picture
from streetvision.status.schema import Span, Status
from streetvision.status.wording import chain_words, span_words

INTERVALS = 120
"""Of each chart: what a pointer can still tell apart."""
PAGE_SPAN = Span(days=90.0, intervals=INTERVALS)
REFRESH_S = 20
"""As often as the monitor looks."""
MOST_BYTES = 300_000
"""Pictures are left out from the end until the page is below."""


POLICY = (
    f"default-src 'none'; style-src {source_hash(STYLE)}; script-src {source_hash(SCRIPT)}; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'"
)
SERVED_POLICY = f"{POLICY}; frame-ancestors 'none'"
"""For the header: a document cannot say itself who may frame it."""


def render_page(status: Status, pictures: Sequence[Picture] = (), trouble: str = "", *, report: bool = False) -> str:
    """The document. `trouble` says why there are no pictures; a `report` is a file: nothing in it refreshes."""
    shown = list(pictures)
    text = _document(status, shown, trouble, report)
    while shown and len(text.encode()) > MOST_BYTES:
        shown = shown[: len(shown) * 2 // 3]
        text = _document(status, shown, trouble, report)
    return text


def _document(status: Status, pictures: Sequence[Picture], trouble: str, report: bool) -> str:
    uid = None if status["standing"] is None else status["standing"]["uid"]
    title = f"{'no UID' if uid is None else f'UID {uid}'} · {status['miner']['state']} · streetvision"
    return document(
        title,
        el("header", _heading(status, uid), _controls(report)),
        _main(status, pictures, trouble),
        _footer(report),
        el("script", Html(SCRIPT)),
        style=STYLE,
        policy=POLICY,
        head=None if report else el("noscript", el("meta", http_equiv="refresh", content="60")),
    )


def _heading(status: Status, uid: int | None) -> Html:
    state = status["miner"]["state"]
    name = "not registered" if uid is None else f"UID {uid}"
    return el("h1", f"streetvision · {name}", el("span", state, class_=f"state {state}"))


def _controls(report: bool) -> Html:
    if report:
        return theme_choices()
    refresh = el(
        "label",
        el("input", type="checkbox", id="refresh", checked=True, disabled=True, data_seconds=REFRESH_S),
        "refresh",
    )
    return theme_choices(refresh)


def _main(status: Status, pictures: Sequence[Picture], trouble: str) -> Html:
    parts: list[tuple[str, Html]] = [
        ("Findings", sections.findings(status)),
        (_since(status), sections.standing_charts(status)),
        ("Requests and answers", sections.work_charts(status)),
        ("Where the time goes", tables.stages(status)),
        ("Validators", tables.validators(status)),
        ("Refused requests", tables.refusals(status)),
        ("Most uncertain recent images", sections.pictures(pictures, trouble)),
        ("Model, log and machine", sections.model_and_log(status)),
    ]
    if status["retrain"] is not None:
        parts.insert(-1, ("Retraining", sections.retraining(status)))
    made = [el("section", el("h2", title), content) for title, content in parts]
    return el("main", _about(status), sections.tiles(status), *made, id="main")


def _since(status: Status) -> str:
    series = status["series"]
    return "Standing" if series is None else f"Standing in the last {span_words(status['taken_at'] - series['since'])}"


def _about(status: Status) -> Html:
    miner = status["miner"]
    up = "" if miner["started"] is None else f", up {duration(status['taken_at'] - miner['started'])}"
    why = el("b", f"{sections.sentence(miner['why'])}. ", class_=miner["state"]) if miner["why"] else None
    network = f" on {miner['network']}" if miner["network"] else ""
    endpoint = f", endpoint {miner['endpoint']}" if miner["endpoint"] else ""
    return el(
        "p",
        why,
        "Hotkey ",
        el("span", miner["hotkey"], class_="key"),
        f", netuid {miner['netuid']}{network}{endpoint}. {sections.sentence(chain_words(status))}. ",
        f"Version {miner['version']}{up}. As of {moment(status['taken_at'])}.",
        class_="about quiet",
    )


def _footer(report: bool) -> Html:
    if report:
        return el("footer", prose("Times are UTC. Written by `streetvision report`; nothing is loaded from elsewhere."))
    links = join(el("a", "the same as JSON", href="api/status.json"), " and ", el("a", "metrics", href="metrics"))
    said = el("span", id="said", role="status")
    return el("footer", "Times are UTC. There is ", links, ". ", said)
