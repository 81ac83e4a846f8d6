"""A replay for people: what was compared, what came out the same, what changed. Pure: numbers in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from streetvision.prediction_log.comparison import (
    Answered,
    Change,
    Comparison,
    Replayed,
    Reproduction,
    Routing,
    Tally,
    comparison_fields,
)
from streetvision.prediction_log.display import caller, local_time
from streetvision.prediction_log.formats import iso_time

_MOVER = "{:>7} {:<14} {:<7} {:>7} {:>7} {:>7}  {:<12}"


def replay_report(done: Replayed, comparison: Comparison) -> str:
    """The whole text, in 80 columns."""
    lines = [f"model {done.model} on {done.device}: {len(done.answers):,} logged requests answered again"]
    lines += [f"computed by {one.runner} in {one.precision}" for one in done.served_by]
    lines += _left_out(comparison, done.tally)
    if comparison.reproduction is not None:
        lines += ["", *_reproduction(done.model, comparison.reproduction)]
    if comparison.routing:
        lines += ["", *_routing(comparison.routing)]
    for change in comparison.changes:
        lines += ["", *_change(change)]
    return "\n".join(lines)


def answer_fields(answered: Answered) -> dict[str, Any]:
    """One answer as JSON values."""
    return {**asdict(answered), "time": iso_time(answered.time), "shift": answered.shift}


def summary_fields(done: Replayed, comparison: Comparison) -> dict[str, Any]:
    """What `replay_report` tells, as JSON values."""
    return {
        "kind": "summary",
        "model": done.model,
        "device": done.device,
        "served_by": [asdict(one) for one in done.served_by],
        "answers": len(done.answers),
        "without_image": dict(done.tally.missing),
        "refused_by_engine": dict(done.tally.failed),
        **comparison_fields(comparison),
    }


def nothing_replayed(tally: Tally) -> str:
    """Why there is nothing to report, as one sentence."""
    causes = [f"{_counts(tally.missing)} without an image"] if tally.missing else []
    causes += [f"{_counts(tally.failed)} refused by the engine"] if tally.failed else []
    return "nothing was replayed: " + (", ".join(causes) or "no answered row passes the filters")


def _left_out(comparison: Comparison, tally: Tally) -> Iterator[str]:
    if tally.missing:
        yield f"without an image, so left out: {_counts(tally.missing)}"
    if tally.failed:
        yield f"refused by the engine: {_counts(tally.failed)}"
    if comparison.unanswered:
        yield f"had no answer to compare with: {comparison.unanswered:,}"


def _counts(counts: Counter[str]) -> str:
    return f"{counts.total():,} ({', '.join(f'{count:,} {reason}' for reason, count in counts.most_common())})"


def _reproduction(model: str, same: Reproduction) -> list[str]:
    lines = [
        f"the same version, {model}: {same.rows:,} answers",
        f"  identical to the last bit   {same.exact:>9,}  ({same.exact / same.rows:.1%})",
        f"  largest difference          {same.largest:>9.2g}",
    ]
    if same.good:
        return [*lines, f"  reproduced: none is further away than {same.tolerance:g}"]
    return [
        *lines,
        f"  NOT reproduced: {same.beyond:,} are further away than {same.tolerance:g}; the log comes from another",
        "  machine, device or compile setting, or from another checkpoint of this version",
    ]


def _routing(routing: Sequence[Routing]) -> Iterator[str]:
    yield "why the second model answered or not, then and now (docs/ensembles.md):"
    for one in routing:
        yield f"  {one.then:<8} {one.now:<8} {one.rows:>9,}"


def _change(change: Change) -> list[str]:
    old, new = change.old_model, change.new_model
    if old == new:
        old, new = f"{old} (other views)", f"{new} (now)"
    return [
        f"{old} -> {new}: {change.rows:,} answers",
        f"  same decision   {change.rows - change.flips:>9,}  ({change.agreement:.1%})",
        f"  flips           {change.flips:>9,}  "
        f"({change.none_roadwork:,} to roadwork, {change.roadwork_none:,} to none)",
        f"  score shift     {change.mean_shift:>+9.4f}  (mean distance {change.mean_distance:.4f}, "
        f"95 % within {change.p95_distance:.4f})",
        "",
        f"  {'old / new':<16} {'none':>9} {'roadwork':>9}",
        f"  {'none':<16} {change.none_none:>9,} {change.none_roadwork:>9,}",
        f"  {'roadwork':<16} {change.roadwork_none:>9,} {change.roadwork_roadwork:>9,}",
        "",
        *_movers(change),
    ]


def _movers(change: Change) -> list[str]:
    if not change.moved:
        return ["  no answer changed"]
    if not change.movers:
        return [f"  answers that changed: {change.moved:,}"]
    return [
        f"  answers that changed: {change.moved:,}; the biggest movers:",
        _MOVER.format("ID", "TIME", "CALLER", "OLD", "NEW", "SHIFT", "IMAGE"),
        *(_mover(answer) for answer in change.movers),
    ]


def _mover(answer: Answered) -> str:
    return _MOVER.format(
        answer.id,
        local_time(answer.time),
        caller(answer.uid, answer.validator),
        "-" if answer.old is None else f"{answer.old:.4f}",
        f"{answer.new:.4f}",
        "-" if answer.shift is None else _shift(answer.shift),
        answer.sha256[:12],
    )


def _shift(shift: float) -> str:
    """To four places; what would vanish in them, by its order of magnitude."""
    return f"{shift:+.4f}" if round(abs(shift), 4) else f"{shift:+.0e}"
