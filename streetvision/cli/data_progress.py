"""How far a reading is: pictures and bytes a second, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streetvision.cli.progress_lines import ProgressLines

if TYPE_CHECKING:
    from streetvision.sources.adding import AddReport
    from streetvision.sources.source import Amount


@contextmanager
def add_progress(label: str, amount: Amount) -> Iterator[Callable[[AddReport], None]]:
    """A bar on stderr where that is a terminal, lines now and then elsewhere; yields what hears each batch's report."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _in_lines(label, amount)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rates]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=amount.count, rates="")

        def heard(report: AddReport) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            bar.update(task, completed=_done(report, amount), rates=rates(report, elapsed))

        yield heard


def _in_lines(label: str, amount: Amount) -> Callable[[AddReport], None]:
    lines, begun = ProgressLines(), time.monotonic()

    def heard(report: AddReport) -> None:
        note = rates(report, time.monotonic() - begun)
        lines.show(f"{label}, {amount.unit}", _done(report, amount), amount.count, note)

    return heard


def _done(report: AddReport, amount: Amount) -> int:
    return report.read if amount.unit == "pictures" else report.bytes


def rates(report: AddReport, seconds: float) -> str:
    """Counts, and what they come to in a second."""
    per_second = 1.0 / seconds if seconds > 0 else 0.0
    unusable = sum(report.unusable.values())
    parts = [f"{report.read:,} pictures", f"{report.read * per_second:,.0f}/s", _megabytes(report.bytes * per_second)]
    return ", ".join(parts + ([f"{unusable:,} unusable"] if unusable else []))


def _megabytes(number: float) -> str:
    return f"{number / 1e6:,.1f} MB/s"
