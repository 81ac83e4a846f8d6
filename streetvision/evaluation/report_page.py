"""The report as one page that needs nothing else: no network, no script, light and dark.

Names of models, datasets, files and tags come from outside: all of them are escaped (streetvision/base/html.py).
"""

from __future__ import annotations

from streetvision.base.document import document, source_hash, theme_choices
from streetvision.base.html import Html, el, join, prose
from streetvision.base.page_style import STYLE
from streetvision.base.wording import moment
from streetvision.evaluation import report_sections as sections
from streetvision.evaluation.judging import Judged, Report
from streetvision.evaluation.wording import pictures_words, verdict_words

OWN_STYLE = """
.squares{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,290px),1fr));gap:12px}
.multiples{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,270px),1fr));gap:12px}
.dashed{stroke:var(--quiet);stroke-dasharray:4 4;opacity:.8}.spread{stroke:var(--text);stroke-width:1.6;opacity:.65}
.soft{opacity:.75}svg .strong{fill:var(--text)}
.verdict{border-left:5px solid currentColor;margin-bottom:12px}.verdict>*{color:var(--text)}
.verdict h3{font-size:17px}.verdict p{margin:5px 0 9px;font-size:14px}
.verdict .scroll{max-width:560px}
.better{color:var(--good)}.worse{color:var(--grave)}.undecided{color:var(--quiet)}
.notes{margin:10px 0;padding:0 0 0 18px;font-size:14px;color:var(--quiet)}
.faults{margin-bottom:16px}.faults li{width:200px}.faults img{width:200px;height:150px;object-fit:contain}
.meaning{white-space:normal;text-align:left;min-width:220px;color:var(--quiet)}
section+section{margin-top:12px}h2.dataset{font-size:19px;border-top:1px solid var(--edge);padding-top:18px}
@media(max-width:520px){.squares svg,.multiples svg{font-size:12px}
.faults li,.faults img{width:150px}.faults img{height:112px}}
"""
STYLES = STYLE + OWN_STYLE
POLICY = f"default-src 'none'; style-src {source_hash(STYLES)}; img-src data:; base-uri 'none'; form-action 'none'"


def render_report(report: Report, now: float) -> str:
    """The document; `now` is when it was made, in seconds since the epoch."""
    title = f"{report.model} against {report.rival}" if report.rival else report.model
    made = f"Made on {moment(now)} by `streetvision evaluate`; nothing is loaded from elsewhere."
    return document(
        f"{title} · evaluation · streetvision",
        el("header", el("h1", f"Evaluation of {title}"), theme_choices()),
        el("main", *(_dataset(report, one) for one in report.judged), id="main"),
        el("footer", prose(made)),
        style=STYLES,
        policy=POLICY,
    )


def _dataset(report: Report, one: Judged) -> Html:
    parts: list[tuple[str, Html | None]] = [
        ("All figures", sections.figures(one)),
        ("Probabilities and decisions", sections.charts(one)),
        ("Expected reward", sections.reward(one, report.assumed)),
        ("Parts of the dataset", sections.parts(one.parts)),
        ("When pictures arrive in a worse state", sections.hardships(one.hardships)),
        ("The surest mistakes", sections.faults(one.answers)),
    ]
    made = [el("section", el("h2", title), content) for title, content in parts if content is not None]
    intro = el("p", f"{pictures_words(one)}.", class_="about quiet")
    heading = el("h2", one.shown.name, class_="dataset")
    return join(heading, intro, _verdict(report, one), sections.tiles(one), *made)


def _verdict(report: Report, one: Judged) -> Html | None:
    if one.comparison is None or report.rival is None:
        return None
    words = verdict_words(one.comparison, report.model, report.rival)
    return el(
        "article",
        el("h3", f"{words}."),
        sections.comparison(one.comparison, report.model, report.rival),
        class_=f"card verdict {one.comparison.verdict}",
    )
