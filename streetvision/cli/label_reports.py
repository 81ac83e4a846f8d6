"""What `streetvision label` prints for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streetvision.base.log_text import joined
from streetvision.base.spending import money, spent_of
from streetvision.base.wording import plural, share

if TYPE_CHECKING:
    from streetvision.labelling.estimate import Estimate
    from streetvision.labelling.stats import ErrorStats, LabelStats
    from streetvision.labelling.store import Cost
    from streetvision.settings.oracle import OracleSettings

Fields = Mapping[str, Any]
ENOUGH = 60
"""Compared pictures of a class below which more are worth labelling: none wrong of 60 are up to 6 % wrong."""


def estimate_line(found: Estimate, settings: OracleSettings, asker: str) -> str:
    """What is about to be asked, and its price."""
    known = f", {found.cached:,} of them answered before" if found.cached else ""
    head = f"{found.pictures:,} pictures{known}: {found.questions:,} questions to {asker}"
    if not found.questions:
        return head
    if found.likely == found.most:
        return f"{head}, at most {cost_words(found.most, settings)}"
    return f"{head}, {cost_words(found.likely, settings)}; at most {found.most.tokens:,} tokens"


def cost_words(cost: Cost, settings: OracleSettings) -> str:
    """An estimate in tokens, and in money where prices are set."""
    tokens = f"about {cost.tokens:,} tokens"
    if not settings.is_priced:
        return f"{tokens} (no price is set)"
    return f"{tokens}, {money(cost.money)} by the prices of {settings.price_date}"


def run_report(fields: Fields) -> str:
    """What a run did."""
    cost = fields["cost"]
    lines = [
        f"{fields['pictures']:,} pictures done, {fields['cached']:,} of them answered before; "
        f"{fields['answered']:,} questions answered"
    ]
    lines += [f"  {fields[name]:,} {words}" for name, words in _TROUBLE.items() if fields[name]]
    lines.append(f"  {cost['tokens']:,} tokens" + (f", {money(cost['money'])}" if cost["money"] else ""))
    return joined(lines)


_TROUBLE = {
    "unusable": "answers were none, and paid",
    "lost": "questions were lost on their way, and count as paid; --again repeats them",
    "declined": "questions were declined, and not paid",
    "unreadable": "pictures could not be read",
}


def review_report(rows: Sequence[Fields], shown: int | None) -> str:
    """A line a picture, and what to do next."""
    if not rows:
        return "oracle, miner and people agree, or nothing was asked yet: streetvision label run"
    lines = [f"{row['sha256'][:12]}  {row['urgency']:.2f}  {row['why']}" for row in rows]
    if shown is None:
        lines.append(
            "to see them: streetvision label review --dataset NAME, with the dataset of `streetvision mine sync`"
        )
    else:
        lines.append(f"{shown:,} of them in the view: streetvision mine app --view oracle")
    return joined(lines)


def stats_report(found: LabelStats, settings: OracleSettings) -> str:
    """All of it."""
    lines = [f"oracle {found.asker}", f"  questions: {_counts(found.questions)}", f"  labels: {_counts(found.labels)}"]
    lines.append(f"  compared with people's labels: {plural(found.compared, 'picture')}")
    lines += [line for name, one in found.errors.items() for line in _error_lines(name, one)]
    fit = found.calibration
    lines.append(f"  calibration: logit times {fit.slope:.2f}, plus {fit.offset:+.2f}")
    lines.append(f"  {plural(found.taught, 'label')} to learn from, mean trust {found.mean_trust:.2f}")
    spent = found.spent
    lines.append(f"  today: {_spent(spent.day, settings.day_tokens, settings.day_money)}")
    lines.append(f"  this month: {_spent(spent.month, settings.month_tokens, settings.month_money)}")
    if found.mean_cost is not None:
        mean = found.mean_cost
        lines.append(f"  an answer takes {mean.tokens:,} tokens" + (f", {money(mean.money)}" if mean.money else ""))
    return joined(lines)


def _error_lines(name: str, one: ErrorStats) -> list[str]:
    if not one.pictures:
        return [
            f"  {name}: it was surely said of none of these, so it is not learned from; label more, and ask about them"
        ]
    rate = share(one.wrong / one.pictures)
    line = (
        f"  {name}: {one.wrong:,} of {one.pictures:,} wrong ({rate}, 95 %: {share(one.low)} to {share(one.high)}), "
        f"trusted up to {one.trust:.2f}"
    )
    few = one.witnesses < ENOUGH
    return [line, f"    label more that it calls {name}: {one.witnesses:,} places say little"] if few else [line]


def _spent(cost: Cost, tokens: int | None, most: float | None) -> str:
    of_money = f", {spent_of(cost.money, most)}" if cost.money or most else ""
    return spent_of(cost.tokens, tokens, "tokens") + of_money


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"
