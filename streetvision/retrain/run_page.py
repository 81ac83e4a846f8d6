"""A run as one page that needs nothing else: the decision, the gates, what went in, the curves, the steps, the cost.

Names of datasets, files and models come from outside: all of them are escaped (streetvision/base/html.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streetvision.base.document import document, source_hash, theme_choices
from streetvision.base.html import Html, el, join, prose
from streetvision.base.page_style import STYLE
from streetvision.base.wording import clipped, moment, took
from streetvision.retrain.run_charts import curve
from streetvision.retrain_log.records import GateVerdict, RunRecord, RunState, Spending, StepRecord

OWN_STYLE = """
.promoted{color:var(--good)}.refused,.rolled_back,.failed{color:var(--grave)}.waiting,.running{color:var(--line)}
.verdict{border-left:5px solid currentColor;margin-bottom:12px}.verdict>*{color:var(--text)}.verdict p{margin-top:5px}
.gate+.gate{margin-top:10px}.gate .scroll{max-width:560px}.gate .facts{margin-top:8px}.unjudged{color:var(--quiet)}
.problem{white-space:normal;text-align:left;width:100%}
"""
STYLES = STYLE + OWN_STYLE
POLICY = f"default-src 'none'; style-src {source_hash(STYLES)}; base-uri 'none'; form-action 'none'"
CURVES = {"auc": "AUC on val", "mcc": "MCC on val", "accuracy": "Accuracy on val", "calibrated_nll": "Log-loss on val"}
_NAMES = {"mcc": "MCC", "auc": "AUC"}
_LONGEST = 160
"""Characters of a value that is shown."""


@dataclass(frozen=True, slots=True)
class RunStory:
    """All that the page tells of one run."""

    run: RunRecord
    steps: Sequence[StepRecord]
    verdicts: Sequence[GateVerdict]
    spent: Spending
    validations: Sequence[Mapping[str, Any]] = ()
    """Of its training: figures by name, in order of steps; empty where the training is gone."""
    going: bool = False
    """Whether a process works on it."""

    @property
    def state(self) -> str:
        """In a word or two."""
        return self.run.shown_state(going=self.going).replace("_", " ")


def render_run(story: RunStory, now: float) -> str:
    """The document; `now` is when it was made, in seconds since the epoch."""
    run = story.run
    return document(
        f"{run.id} · retraining · streetvision",
        el(
            "header",
            el("h1", f"Retraining {run.id}", el("span", story.state, class_=f"state {run.state}")),
            theme_choices(),
        ),
        el("main", *_sections(story)),
        el("footer", prose(f"Made on {moment(now)} by `streetvision retrain show`; nothing is loaded from elsewhere.")),
        style=STYLES,
        policy=POLICY,
        skips=False,
    )


def _sections(story: RunStory) -> Iterator[Html]:
    yield _decision(story)
    if story.verdicts:
        yield join(el("h2", "Gates"), *(_gate(one) for one in story.verdicts))
    if len(story.validations) > 1:
        charts = (curve(title, _points(story.validations, name)) for name, title in CURVES.items())
        yield join(el("h2", "Training"), el("div", *charts, class_="charts"))
    yield join(el("h2", "Steps"), el("div", _steps(story.steps), class_="card scroll", tabindex="0"))
    for step in story.steps:
        if facts := _facts(step.output or {}):
            yield join(el("h2", str(step.name).capitalize()), el("div", facts, class_="card"))


def _decision(story: RunStory) -> Html:
    run = story.run
    known = {
        "Began": f"{run.started} by {run.trigger}",
        "Took": took(run.started, run.ended, "–"),
        "Against": run.baseline,
        "Made version": run.version,
        "From pictures": run.fingerprint,
        "GPU hours": f"{story.spent.gpu_hours:.2f}",
        "Money": f"{story.spent.money:.2f}" if story.spent.money else "",
        "Curves at": run.tracking_url,
    }
    words = el("h3", _capital(run.reason or story.state))
    remedy = el("p", prose(_capital(run.remedy))) if run.remedy else None
    kind = RunState.REFUSED if run.state is RunState.ROLLED_BACK else run.state
    return join(
        el("article", words, remedy, class_=f"card verdict {kind}"),
        el("div", _list({name: value for name, value in known.items() if value}), class_="card"),
    )


def _gate(verdict: GateVerdict) -> Html:
    evidence = dict(verdict.evidence)
    differences = evidence.pop("differences", None)
    outcome = evidence.pop("outcome", "passed" if verdict.passed else "refused")
    kind = {"passed": "promoted", "refused": "refused"}.get(str(outcome), "unjudged")
    title = el(
        "h3", f"{verdict.gate.replace('_', ' ').capitalize()} ", el("span", str(outcome), class_=f"state {kind}")
    )
    table = _differences(differences) if isinstance(differences, Mapping) and differences else None
    return el("article", title, el("p", _capital(verdict.reason)), table, _facts(evidence), class_="card gate")


def _differences(found: Mapping[str, Any]) -> Html:
    """Candidate less serving, with intervals."""
    rows = [
        el(
            "tr",
            el("td", _NAMES.get(name, name), class_="left"),
            *(el("td", _signed(one.get(key))) for key in ("value", "low", "high")),
        )
        for name, one in found.items()
        if isinstance(one, Mapping)
    ]
    heads = ("figure", "new less serving", "at least", "at most")
    head = el("tr", *(el("th", name, class_="left" if name == "figure" else None) for name in heads))
    return el("div", el("table", el("thead", head), el("tbody", *rows)), class_="scroll", tabindex="0")


def _steps(steps: Sequence[StepRecord]) -> Html:
    rows = [
        el(
            "tr",
            el("td", str(step.name), class_="left"),
            el("td", "done" if step.done else "not done"),
            el("td", took(step.started, step.ended, "–")),
            el("td", step.attempts),
            el("td", step.problem, class_="problem"),
        )
        for step in steps
    ]
    heads = {"step": "left", "state": None, "took": None, "attempts": None, "problem": "problem"}
    head = el("tr", *(el("th", name, class_=kind) for name, kind in heads.items()))
    return el("table", el("thead", head), el("tbody", *rows))


def _facts(values: Mapping[str, Any]) -> Html | None:
    shown = {name.replace("_", " "): text for name, value in values.items() if (text := _text(value))}
    return _list(shown) if shown else None


def _list(values: Mapping[str, str]) -> Html:
    return el("dl", *(join(el("dt", name), el("dd", text)) for name, text in values.items()), class_="facts")


def _text(value: object) -> str:
    """A value as one line; lists and mappings as their parts."""
    if isinstance(value, Mapping):
        nested = any(isinstance(one, Mapping) for one in value.values())
        parts = ((name, _text(one)) for name, one in value.items())
        text = ("; " if nested else ", ").join(f"{name}{':' * nested} {part}" for name, part in parts if part)
    elif isinstance(value, list | tuple):
        text = "; ".join(_text(one) for one in value)
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, float):
        text = f"{value:.4g}"
    else:
        text = "" if value is None else str(value)
    return clipped(text, _LONGEST)


def _signed(value: object) -> str:
    return f"{value:+.3f}" if isinstance(value, int | float) else "–"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _points(validations: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(float(one["step"]), float(one[name])) for one in validations if isinstance(one.get(name), int | float)]
