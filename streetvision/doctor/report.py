"""The doctor's report for people: a mark a line, its evidence, the remedy below, and why nothing is earned."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streetvision.base.wording import plural
from streetvision.doctor.check import SECTIONS, Check, Mark, Report
from streetvision.monitor.unjudged import unjudged_words

SIGNS = {Mark.OK: "✓", Mark.WARNING: "!", Mark.FAILURE: "✗", Mark.SKIPPED: "-"}
COLOURS = {Mark.OK: "green", Mark.WARNING: "yellow", Mark.FAILURE: "red", Mark.SKIPPED: "bright_black"}
_MARK, _NAME = 9, 12
"""Widths of the columns."""


def lines_of(report: Report, width: int = 80) -> Iterable[tuple[str, Mark | None]]:
    """Every line and the mark whose colour it takes; None for plain ones."""
    by_name = {check.name: check for check in report.checks}
    known = {name for names in SECTIONS.values() for name in names}
    for title, names in SECTIONS.items():
        yield from section(title, [by_name[name] for name in names if name in by_name], width)
    yield from section("Findings", [check for check in report.checks if check.name not in known], width)
    yield from _unjudged(report, width)
    if report.diagnosis:
        yield from ((line, None) for line in _diagnosis(report.diagnosis, width))
    yield _summary(report), None


def section(title: str, checks: Sequence[Check], width: int) -> Iterable[tuple[str, Mark | None]]:
    """Some checks under a title, as `lines_of` gives them; nothing where there is none."""
    if not checks:
        return
    yield title, None
    for check in checks:
        head = f"  {SIGNS[check.mark]} {check.mark.value:<{_MARK - 1}}{check.name:<{_NAME}}"
        if len(check.name) >= _NAME:
            head = f"{head.rstrip()}  "
        yield from ((line, check.mark) for line in _wrapped(check.evidence, head, width))
        if check.remedy and check.mark is not Mark.OK:
            yield from ((line, None) for line in _wrapped(check.remedy, " " * (_MARK + _NAME + 3) + "→ ", width))
    yield "", None


def _unjudged(report: Report, width: int) -> Iterable[tuple[str, Mark | None]]:
    if not report.unjudged:
        return
    yield "Not judged", None
    for words in unjudged_words(report.unjudged):
        yield from ((line, Mark.SKIPPED) for line in _wrapped(words, f"  {SIGNS[Mark.SKIPPED]} ", width))
    yield "", None


def _diagnosis(found: Mapping[str, Any], width: int) -> Iterable[str]:
    yield "Why am I not earning?"
    for ruled in found["ruled_out"]:
        word = "no" if ruled["known"] else "unknown"
        yield from _wrapped(f"{_words(ruled['cause'])}? {word}: {ruled['why']}", "    ", width)
    yield from _wrapped(f"{_words(found['cause'])}: {found['title']}.", "  ▶ ", width)
    for sentence in found["evidence"]:
        yield from _wrapped(sentence, "    ", width)
    yield from _wrapped(found["remedy"], "    → ", width)
    yield ""


def _words(cause: str) -> str:
    return cause.replace("_", " ")


def _summary(report: Report) -> str:
    count = {mark: sum(check.mark is mark for check in report.checks) for mark in Mark}
    return ", ".join(
        (plural(count[Mark.FAILURE], "failure"), plural(count[Mark.WARNING], "warning"), f"{count[Mark.OK]} ok",
         f"{count[Mark.SKIPPED]} skipped")
    )  # fmt: skip


def _wrapped(text: str, head: str, width: int) -> list[str]:
    """Long words, such as commands and paths, stay whole so that they can be copied."""
    return textwrap.wrap(
        " ".join(text.split()),
        max(width, len(head) + 30),
        initial_indent=head,
        subsequent_indent=" " * min(len(head), _MARK + _NAME + 3),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [head]
