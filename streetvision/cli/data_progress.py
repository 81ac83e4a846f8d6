"""How far a reading is: pictures and bytes a second, and the time that is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streetvision.sources.adding import AddReport
    from streetvision.sources.source import Amount


@contextmanager
def add_progress(label: str, amount: Amount) -> Iterator[Callable[[AddReport], None]]:
    """A bar on stderr where that is a terminal, nothing elsewhere; yields what to call with each batch's report."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rates]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=amount.count, rates="")

        def heard(report: AddReport) -> None:
            done = report.read if amount.unit == "pictures" else report.bytes
            elapsed = bar.tasks[0].elapsed or 0.0
            bar.update(task, completed=done, rates=rates(report, elapsed))

        yield heard


def rates(report: AddReport, seconds: float) -> str:
    """Counts, and what they come to in a second."""
    per_second = 1.0 / seconds if seconds > 0 else 0.0
    unusable = sum(report.unusable.values())
    parts = [f"{report.read:,} pictures", f"{report.read * per_second:,.0f}/s", _megabytes(report.bytes * per_second)]
    return ", ".join(parts + ([f"{unusable:,} unusable"] if unusable else []))


def _megabytes(number: float) -> str:
    return f"{number / 1e6:,.1f} MB/s"
