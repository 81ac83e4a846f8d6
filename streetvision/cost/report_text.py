"""The estimate in the terminal: traffic, speeds, a bar for each way, and a table over the traffic."""

from __future__ import annotations

from collections.abc import Iterator

from streetvision.base.log_text import joined
from streetvision.base.wording import plural, share
from streetvision.cost.bills import Bill
from streetvision.cost.estimate import Estimate
from streetvision.cost.speeds import Speed

TITLE, BAR = 40, 22
"""Columns of a way's name and of the longest bar."""
TOLD = 0.0005
"""Shares below it are not told."""


def estimate_text(found: Estimate) -> str:
    """The whole report, in 80 columns, without a newline at its end."""
    return joined([*_head(found), "", *_bars(found), "", *_parts(found), "", *_table(found)])


def dollars(month: float | None) -> str:
    """`$1,234`; cents below ten dollars; a dash for none."""
    if month is None:
        return "-"
    sign = "-" if month < 0 else ""
    return f"{sign}${abs(month):,.2f}" if abs(month) < 10 else f"{sign}${abs(month):,.0f}"


def _head(found: Estimate) -> Iterator[str]:
    at = found.place
    miners = plural(at.question.hotkeys, "miner")
    yield f"{miners}, each with {at.traffic.mean:.3g} requests a second, {at.traffic.peak:.3g} at its peak"
    yield f"  from {at.traffic.told}"
    yield f"  a ViT of the size {at.question.model} on {at.question.card}: {speed_words(at.on_card)}"
    yield f"  on the CPU: {speed_words(at.on_front)}"
    if found.here is not None:
        yield f"  on this machine: {found.here.seconds * 1e3:.3g} ms an answer, by {found.here.answers:,} of its log"


def speed_words(speed: Speed) -> str:
    """`0.45 ms alone, 13,347 a second together (measured)`."""
    mark = "measured" if speed.measured else "scaled, not measured"
    many = f"{speed.per_s:,.0f}" if speed.per_s >= 100 else f"{speed.per_s:.3g}"
    return f"{speed.one_s * 1e3:.3g} ms alone, {many} a second together ({mark})"


def _bars(found: Estimate) -> Iterator[str]:
    most = max([bill.month or 0.0 for bill in found.now] + [1e-9])
    yield "a month at this traffic, US dollars before taxes"
    for bill in found.now:
        words = bill.limit or "█" * max(1, round(BAR * (bill.month or 0.0) / most))
        yield f"  {bill.title:<{TITLE}}{dollars(bill.month):>9} {words}"


def _parts(found: Estimate) -> Iterator[str]:
    for bill in found.now:
        if bill.lines:
            yield f"  {bill.title}"
        for line in bill.lines:
            yield f"    {f'{line.count:.3g} x {line.what}':<{TITLE + 12}}{dollars(line.month):>9}"
        if bill.cold is not None and bill.cold >= TOLD:
            yield f"    {share(bill.cold)} of the requests find no container warm: the embedded model answers them"


def _table(found: Estimate) -> Iterator[str]:
    heads = "".join(f"{f'x{factor:g}':>10}" for factor in found.by_factor)
    yield f"  {'a month at so many times the traffic':<{TITLE}}{heads}"
    for place, bill in enumerate(found.now):
        cells = "".join(f"{dollars(row[place].month):>10}" for row in found.by_factor.values())
        yield f"  {bill.title:<{TITLE}}{cells}"
    for bill in _limits(found):
        yield f"  -: {bill.title}: {bill.limit}"


def _limits(found: Estimate) -> list[Bill]:
    """The first bill of each way that cannot carry some traffic."""
    seen: dict[str, Bill] = {}
    for row in found.by_factor.values():
        for bill in row:
            if bill.limit:
                seen.setdefault(bill.way, bill)
    return list(seen.values())
