"""The timeline of a video as one page that needs nothing else: no network, no script, light and dark.

Names of files and words of other models come from outside: all of them are escaped (streetvision/base/html.py).
"""

from __future__ import annotations

import base64

from streetvision.base.document import document, source_hash, theme_choices
from streetvision.base.html import Html, el, join, prose
from streetvision.base.page_style import STYLE
from streetvision.base.wording import clipped, moment, share
from streetvision.video.charts import timeline
from streetvision.video.clock import exact, hms
from streetvision.video.report import VideoReport, opinion_words
from streetvision.video.smoothing import Segment

OWN_STYLE = """
.frames{fill:none;stroke:var(--text);stroke-width:3.2;stroke-linecap:round;opacity:.28}
.segment{fill:var(--bad);opacity:.16}.segment:hover{opacity:.3}
.shots{display:flex;flex-wrap:wrap;gap:12px;list-style:none;margin:0;padding:0}.shots li{width:224px}
.shots img{display:block;width:224px;height:126px;object-fit:contain;border-radius:8px;border:1px solid var(--edge);
background:var(--grid)}.shots span{display:block;font-size:12px;line-height:1.35;color:var(--quiet);margin-top:3px}
.said{white-space:normal;text-align:left;min-width:200px}.damage{margin-bottom:14px;font-size:14px}
@media(max-width:520px){.long .chart{overflow-x:auto}.long svg{min-width:760px}
.shots li,.shots img{width:150px}.shots img{height:85px}}
"""
STYLES = STYLE + OWN_STYLE
POLICY = f"default-src 'none'; style-src {source_hash(STYLES)}; img-src data:; base-uri 'none'; form-action 'none'"
LONGEST = 200
"""Characters of another model's reason that are shown."""


def render_video(report: VideoReport, now: float) -> str:
    """The document; `now` is when it was made, in seconds since the epoch."""
    name = report.uri.rpartition("/")[2] or report.uri
    return document(
        f"{name} · video · streetvision",
        el("header", el("h1", name), theme_choices()),
        el(
            "main",
            _about(report),
            *(el("p", f"{sentence}.", class_="card finding warning damage") for sentence in report.damage),
            _tiles(report),
            el("h2", "Timeline"),
            el("div", _chart(report), class_="long"),
            _pictures(report),
            el("h2", "Segments"),
            _table(report),
            id="main",
        ),
        el("footer", prose(f"Made on {moment(now)} by `streetvision video`; nothing is loaded from elsewhere.")),
        style=STYLES,
        policy=POLICY,
    )


def _chart(report: VideoReport) -> Html:
    return timeline(report.times, report.raw, report.smoothed, report.segments, report.seconds)


def _about(report: VideoReport) -> Html:
    facts = report.facts
    rate = f", {facts['per_second']:.3g} frames a second" if facts.get("per_second") else ""
    words = (
        f"{report.uri}: {facts.get('width')}x{facts.get('height')}, {facts.get('codec')}{rate}, {hms(report.seconds)}."
    )
    return el("p", words, class_="about quiet")


def _tiles(report: VideoReport) -> Html:
    covered = share(report.covered / report.seconds) if report.seconds else "-"
    same = report.counts.get("same", 0)
    tiles = [
        ("Segments with roadwork", str(len(report.segments)), "by the smoothed probability"),
        ("Time with roadwork", covered, f"{hms(report.covered)} of {hms(report.seconds)}"),
        ("Frames answered", f"{len(report.times):,}", f"{same:,} more looked like the one before"),
        ("Model", report.model, "its probabilities, calibrated"),
    ]
    return el(
        "dl",
        *(
            el("div", el("dt", title), el("dd", big, class_="big"), el("dd", small, class_="small"), class_="card")
            for title, big, small in tiles
        ),
        class_="tiles",
    )


def _pictures(report: VideoReport) -> Html | None:
    if not report.thumbnails:
        return None
    return join(
        el("h2", "Where it changes"),
        el("ul", *(_picture(report, time, jpeg) for time, jpeg in report.thumbnails.items()), class_="shots"),
    )


def _picture(report: VideoReport, time: float, jpeg: bytes) -> Html:
    source = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    words = f"{hms(time)} · {_role(report, time)}"
    return el("li", el("img", src=source, alt=words, loading="lazy"), el("span", words))


def _role(report: VideoReport, time: float) -> str:
    """What a picture shows of its segment."""
    for place, one in enumerate(report.segments, start=1):
        if one.start <= time <= one.end:
            return f"segment {place}, {'surest' if time == one.peak else 'begins'}"
    return "between segments"


def _table(report: VideoReport) -> Html:
    if not report.segments:
        return el("p", "No stretch of this video shows roadwork, as far as the model sees.", class_="card none")
    titles = ["Segment", "Begins", "Ends", "Seconds", "Mean P", "Highest P", "at", "Frames"]
    said = bool(report.opinions)
    heads = el("tr", *(el("th", title, scope="col") for title in [*titles, *(["Second opinion"] if said else [])]))
    rows = [_row(report, place, one, said=said) for place, one in enumerate(report.segments, start=1)]
    table = el("table", el("thead", heads), el("tbody", *rows))
    return el("div", el("div", table, class_="scroll", tabindex="0"), class_="card")


def _row(report: VideoReport, place: int, one: Segment, *, said: bool) -> Html:
    cells = [exact(one.start), exact(one.end), f"{one.end - one.start:.1f}", f"{one.mean:.2f}", f"{one.highest:.2f}"]
    cells += [hms(one.peak), f"{one.frames:,}"]
    words = "; ".join(clipped(opinion_words(opinion), LONGEST) for opinion in report.said_of(one)) or "-"
    more = [el("td", words, class_="said")] if said else []
    return el("tr", el("th", place, scope="row"), *(el("td", cell) for cell in cells), *more)
