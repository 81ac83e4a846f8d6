"""What `streetvision train` shows: bars on a terminal, a line now and then elsewhere, JSON for programs, tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import typer

from streetvision.base.log_text import joined, one_line
from streetvision.cli.progress_lines import ProgressLines
from streetvision.cli.shared import print_json

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from streetvision.training.run_folder import RunFolder

Event = Mapping[str, Any]
HEADS = ("run", "recipe", "state", "step", "best AUC", "best MCC", "version")


class View:
    """Hears of a run's events and shows them."""

    def __init__(self, bar: Progress | None, *, as_json: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar, self._as_json = bar, as_json
        self._lines = ProgressLines(clock=clock)
        self._tasks: dict[str, TaskID] = {}

    def tell(self, event: Event) -> None:
        """Show one event of a run."""
        if self._as_json:
            print_json(event)
            return
        kind = event["event"]
        if kind == "progress":
            loss = "" if event["loss"] is None else f"loss {event['loss']:.4f}"
            self.advance(
                "training", event["step"], event["total_steps"], f"{loss} {event['pictures_per_second']:.0f}/s"
            )
        elif kind == "features":
            self.advance(f"features of {event['part']}", event["done"], event["total"], "")
        elif kind == "validation":
            typer.echo(validation_line(event), err=True)
        elif kind == "kept":
            typer.echo(kept_line(event), err=True)
        elif kind == "warning":
            typer.echo(f"warning: {one_line(event['why'])}", err=True)
        elif kind == "unreadable":
            lines = [f"warning: {event['count']:,} pictures cannot be read and were left out", *event["pictures"]]
            typer.echo("\n  ".join(map(one_line, lines)), err=True)

    def importing(self, stage: str, done: int, total: int) -> None:
        """Show how far fetching weights or adding a model is."""
        if not self._as_json:
            self.advance(stage, done, total, "")

    def advance(self, label: str, done: int, total: int, note: str = "") -> None:
        """Move the bar of that label, where there are bars; `total` 0: unknown."""
        if self._bar is None:
            self._lines.show(label, done, total, note)
            return
        if label not in self._tasks:
            self._tasks[label] = self._bar.add_task(label, total=total or None, note=note)
        self._bar.update(self._tasks[label], completed=done, total=total or None, note=note)


@contextmanager
def shown(as_json: bool) -> Iterator[View]:
    """A view with bars on stderr where that is a terminal, and lines where it is not."""
    from rich.console import Console

    console = Console(stderr=True)
    if as_json or not console.is_terminal:
        yield View(None, as_json=as_json)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield View(bar, as_json=False)


def kept_line(event: Event) -> str:
    """One line of where decoded pictures stay, so that later epochs need not decode them."""
    pictures, total = event["pictures"], event["total"]
    which = f"all {total:,}" if pictures == total else f"{pictures:,} of {total:,}"
    return f"decoded pictures are kept {event['where']}: {which}, {event['gib']:.1f} GiB (run.cache, run.cache_gib)"


def validation_line(event: Event) -> str:
    """One line of what a validation found."""
    figures = ", ".join(f"{said} {event[name]:.3f}" for name, said in _FIGURES.items())
    return f"epoch {event['epoch'] + 1:>3}  step {event['step']:>6,}  {figures}{'  best' if event['best'] else ''}"


_FIGURES = {"accuracy": "accuracy", "mcc": "MCC", "auc": "AUC", "calibrated_nll": "loss"}


def run_fields(run: RunFolder) -> dict[str, Any]:
    """How a run stands, for tables and programs; raises OperatorError when its record is damaged."""
    record, metrics = run.record(), run.metrics()
    best: dict[str, Any] = next((line for line in reversed(metrics) if line["best"]), {})
    return {
        "run": run.name,
        "recipe": record.recipe,
        "state": record.state,
        "sets": list(record.sets),
        "started": record.started,
        "step": metrics[-1]["step"] if metrics else record.step,
        "total_steps": record.total_steps,
        "seconds": round(record.seconds, 1),
        "best": best,
        "problem": record.problem,
        "version": record.version,
        "folder": str(run.path),
    }


def run_table(rows: Sequence[Event]) -> str:
    """One line a run."""
    if not rows:
        return "no run yet: streetvision train --recipe quick --data NAME"
    return in_columns([HEADS, *(_cells(row) for row in rows)])


def in_columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of as many cells each, columns as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return joined(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _cells(row: Event) -> tuple[str, ...]:
    best = row["best"]
    figures = [f"{best[name]:.3f}" if best else "-" for name in ("auc", "mcc")]
    version = row["version"] if row["state"] == "done" else "-"
    steps = f"{row['step']:,}/{row['total_steps']:,}"
    return (row["run"], row["recipe"], row["state"], steps, *figures, version)


def run_page(run: RunFolder, fields: Event) -> str:
    """All that is known of a run, and what to do next."""
    from streetvision.training.recipe import Recipe
    from streetvision.training.recipe_file import changed, literal

    recipe = run.recipe()
    keys = {key: getattr(getattr(recipe, key.split(".")[0]), key.split(".")[1]) for key in changed(recipe, Recipe())}
    lines = [
        f"{fields['run']}  {fields['state']}" + (f": {fields['problem']}" if fields["problem"] else ""),
        f"  began {fields['started']}, trained {timedelta(seconds=round(fields['seconds']))}, "
        f"step {fields['step']:,} of {fields['total_steps']:,}",
        f"  pictures of {', '.join(fields['sets'])}",
        f"  {fields['folder']}",
        "",
        f"recipe {fields['recipe']}, where it is not the default:",
        *(f"  {key} = {literal(value)}" for key, value in keys.items()),
        "",
        *(validation_line(line) for line in fields["validations"]),
        "",
        *_next(fields),
    ]
    return joined(lines)


def _next(fields: Event) -> list[str]:
    name = fields["run"]
    if fields["state"] == "done":
        return [f"it became version {fields['version']}: streetvision models show {fields['version']}"]
    if fields["state"] == "running":
        return ["it is running now"]
    kept = [f"keep the best weights until now: streetvision train --resume {name} --finish"] if fields["best"] else []
    return [f"go on: streetvision train --resume {name}", *kept]
