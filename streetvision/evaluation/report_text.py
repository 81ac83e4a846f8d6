"""The report in the terminal: a line a figure, the verdict, the weakest parts."""

from __future__ import annotations

from collections.abc import Iterator

from streetvision.base.log_text import joined
from streetvision.evaluation.figures import NAMES, Estimate
from streetvision.evaluation.judging import Judged, Report
from streetvision.evaluation.robustness import Hardship
from streetvision.evaluation.slices import Slice
from streetvision.evaluation.wording import (
    LABELS,
    NOTHING,
    assumed_words,
    caveats,
    disagreement_words,
    interval,
    number,
    pictures_words,
    signed,
    verdict_words,
)

WIDTH = 36
"""Of what a part or a hardship is called."""


def report_text(report: Report) -> str:
    """The whole report, without a newline at its end."""
    return "\n\n".join(joined(_dataset(report, one)) for one in report.judged)


def _dataset(report: Report, one: Judged) -> Iterator[str]:
    yield f"{report.model} on {one.shown.name}: {pictures_words(one)}"
    yield from _comparison(report, one)
    for name in NAMES:
        yield _line(LABELS[name], one.figures[name])
    yield _line(LABELS["reward"], one.reward)
    if one.reward.value is not None:
        yield f"  note: the reward assumes that {assumed_words(report.assumed)}"
    yield from (f"  note: {words}" for words in caveats(one))
    yield from _parts(one.parts)
    yield from _hardships(one.hardships)


def _line(word: str, found: Estimate) -> str:
    return f"  {word:<13}{number(found.value):>7}  {interval(found)}".rstrip()


def _parts(parts: list[Slice]) -> Iterator[str]:
    if parts:
        yield f"  {'part':<{WIDTH}}{'pictures':>9}{'accuracy':>10}{'recall':>8}{'false alarms':>14}{'MCC':>8}"
    for part in parts:
        name = f"{part.tag}={part.value or NOTHING}"
        told = (part.figures[figure].value for figure in ("accuracy", "recall", "false_alarms", "mcc"))
        accuracy, recall, false_alarms, mcc = map(number, told)
        yield f"  {_cut(name):<{WIDTH}}{part.count:>9,}{accuracy:>10}{recall:>8}{false_alarms:>14}{mcc:>8}"


def _hardships(found: list[Hardship]) -> Iterator[str]:
    if not found:
        return
    yield f"  {'accuracy when pictures come':<{WIDTH}}by degree (* worse, and not by luck)"
    kinds: dict[str, list[str]] = {}
    for one in found:
        step, mark = "" if one.plain else f"{one.step}: ", "*" if one.worse else ""
        kinds.setdefault(one.kind, []).append(f"{step}{number(one.figures['accuracy'].value)}{mark}")
    for kind, cells in kinds.items():
        yield f"  {_cut(kind):<{WIDTH}}{'  '.join(cells)}"


def _comparison(report: Report, one: Judged) -> Iterator[str]:
    found, rival = one.comparison, report.rival or ""
    if found is None:
        return
    yield f"  {verdict_words(found, report.model, rival)}."
    yield f"  {disagreement_words(found, report.model, rival)}."
    for name, difference in found.differences.items():
        word = f"difference in {LABELS[name]}"
        yield f"  {word:<24}{signed(difference.value):>7}  {interval(difference, sign=True)}".rstrip()


def _cut(text: str) -> str:
    return text if len(text) < WIDTH else f"{text[: WIDTH - 2]}…"
