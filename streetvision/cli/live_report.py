"""`models status` for people: who serves, who is kept or tried, what is being done, what was decided."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from streetvision.cli.live_progress import step_text

Fields = Mapping[str, Any]
SHOWN = 8
"""Decisions; `--json` has all that the miner remembers."""


def status_report(fields: Fields, width: int | None = None) -> str:
    """The status as lines with a word in front; where a terminal's width is given, long ones go on below the text."""
    lines = list(_lines(fields))
    margin = 2 + max(len(word) for word, _ in lines)
    return "\n".join(line for word, text in lines for line in _wrapped(word, text, margin, width))


def _wrapped(word: str, text: str, margin: int, width: int | None) -> list[str]:
    line = f"{word:<{margin}}{text}".rstrip()
    if width is None:
        return [line]
    return textwrap.wrap(line, max(width, margin + 20), subsequent_indent=" " * margin, drop_whitespace=True) or [line]


def _lines(fields: Fields) -> Iterator[tuple[str, str]]:
    active, standby = fields["active"], fields["standby"]
    yield "serves", f"{_name(active)}, for {_age(active['for_s'])}; last minute: {_health(active['health'])}"
    if fields["stuck"]:
        yield "SICK", fields["stuck"]
    if standby:
        left = _age(standby["left_s"])
        yield "standby", f"{_name(standby)}, kept loaded for {left}: `streetvision models rollback` goes back at once"
    if fields["candidate"]:
        yield from _candidate(fields["candidate"])
    if fields["operation"]:
        operation = fields["operation"]
        yield "doing", f"{operation['name']}, for {_age(operation['for_s'])}{_step(operation['step'])}"
    for version, mark in fields["bad"].items():
        yield "bad", f"{version}, since {_when(mark['at'])}: {mark['why']}"
    for decision in fields["decisions"][-SHOWN:]:
        by = f" by {decision['by']}" if "by" in decision else ""
        yield "decided", f"{_when(decision['at'])}  {decision['event']} {decision['version']}{by}: {decision['why']}"


def _candidate(candidate: Fields) -> Iterator[tuple[str, str]]:
    does = "answers" if candidate["role"] == "canary" else "looks at"
    report = candidate["report"]
    since = f"since {_when(report['since'])}"
    yield candidate["role"], f"{_name(candidate)} {does} {100 * candidate['share']:g}% of the images, {since}"
    yield "", _comparison(report)
    for sentence in candidate["evidence"]:
        yield f"  {candidate['verdict']}", sentence


def _comparison(report: Fields) -> str:
    parts = [f"{report['samples']} images compared"]
    if report["samples"]:
        low, high = report["agreement_between"]
        parts.append(f"{report['agreement']:.1%} agree (surely {low:.1%} to {high:.1%})")
        parts.append(f"probabilities {report['probability_shift']['mean']:.3f} apart")
    own, beside = report["latency"]["p99"], report["active_latency"]["p99"]
    if own is not None and beside is not None:
        parts.append(f"p99 {own * 1e3:.0f} ms beside {beside * 1e3:.0f}")
    parts.append(f"{report['failed_images']} failed")
    return ", ".join(parts)


def _health(health: Fields) -> str:
    p99 = "" if health["p99"] is None else f", model p99 {health['p99'] * 1e3:.0f} ms"
    return f"{health['answered']} answered, {health['failed']} failed, {health['late']} late{p99}"


def _name(fields: Fields) -> str:
    return f"{fields['version']} ({fields['name']})"


def _step(step: Fields) -> str:
    counted = f" ({step['done']} of {step['total']})" if step.get("total") else ""
    return f": {step_text(step)}{counted}" if step else ""


def _when(at: str) -> str:
    return at[:19].replace("T", " ")


def _age(seconds: float) -> str:
    """Such as `42 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
