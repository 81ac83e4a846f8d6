"""What `streetvision data` prints for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from streetvision.base.log_text import joined, one_line
from streetvision.sources.labels import CLASSES

if TYPE_CHECKING:
    from streetvision.sources.adding import AddReport
    from streetvision.sources.checking import CheckReport, Doubt
    from streetvision.sources.summary import Summary


def added_line(report: AddReport) -> str:
    """What one reading of a source brought."""
    end = "" if report.complete else ", not read to its end"
    parts = [f"{report.new:,} new", f"{report.known:,} there already"]
    parts += [f"{count:,} unusable: {reason}" for reason, count in report.unusable.items()]
    return one_line(f"{report.source}: {report.read:,} read, {', '.join(parts)}{end}")


def summary_line(summary: Summary) -> str:
    """One line of a list."""
    classes = summary.classes
    return one_line(
        f"{summary.name:<20} {summary.pictures:>8,} pictures  {classes['roadwork']:>7,} roadwork  "
        f"{classes['none']:>7,} none  {_gigabytes(summary.bytes):>9}  "
        f"{', '.join(source.name for source in summary.sources)}"
    )


def summary_report(summary: Summary) -> str:
    """A dataset in numbers."""
    lines = [f"{summary.name}: {summary.pictures:,} pictures, {_gigabytes(summary.bytes)}"]
    lines.append(f"  {'split':<9} {'roadwork':>9} {'none':>9}")
    lines += [
        f"  {split:<9} {counts.get('roadwork', 0):>9,} {counts.get('none', 0):>9,}"
        for split, counts in summary.splits.items()
    ]
    lines += [
        f"  {source.pictures:>9,} from {source.name}" + ("" if source.complete else " (not read to its end)")
        for source in summary.sources
    ]
    lines += _block("licence", summary.licences) + _block("labelled by", summary.labelled_by)
    if summary.near_duplicates:
        lines.append(f"  {summary.near_duplicates:>9,} have near duplicates, which share a split and one weight")
    lines += _block("left out", summary.left_out) + _block("unusable", summary.unusable)
    return joined(lines)


def _block(title: str, counts: Mapping[str, int]) -> list[str]:
    return [f"  {count:>9,} {title}: {name}" for name, count in counts.items()]


def check_report(report: CheckReport, listed: Sequence[Doubt]) -> str:
    """What a check found."""
    lines = [f"{report.pictures:,} pictures hashed, {len(report.problems):,} problems"]
    lines += [f"  {problem}" for problem in report.problems]
    lines.append(f"near duplicates with contrary labels: {len(report.contrary):,} pairs")
    lines += [f"  {one}  {other}" for one, other in report.contrary[:10]]
    lines.append(f"near duplicates in two splits: {len(report.leaks):,} pairs")
    lines += [f"  {one}  {other}" for one, other in report.leaks[:10]]
    lines += _doubts(report, listed)
    return joined(lines)


def _doubts(report: CheckReport, listed: Sequence[Doubt]) -> list[str]:
    if report.agreement is None:
        return ["labels: none was doubted, as there are too few groups or classes, or pictures are gone"]
    first = ", the surest first:" if listed else ""
    lines = [
        f"labels: a probe on {report.model} agrees with {report.agreement:.1%} of them, and doubts "
        f"{len(report.doubts):,}{first}"
    ]
    lines += [
        f"  labelled {CLASSES[doubt.label]}, P({CLASSES[not doubt.label]}) {doubt.contrary:.2f}"
        f"  {doubt.sha256[:12]}  {doubt.key}"
        for doubt in listed
    ]
    return lines


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:,.2f} GB" if number >= 1e7 else f"{number / 1e6:,.2f} MB"
