"""How far an operation of the running miner is: a bar where stderr is a terminal, a line a step elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Step = Mapping[str, Any]

WORDS = {
    "load": "weights loaded",
    "warm": "warmed",
    "touch": "ready to serve",
    "check": "showing it the golden pictures",
    "switch": "switching",
}


def step_text(step: Step) -> str:
    """A step in words, such as `warmed batches of 8`."""
    text = WORDS.get(str(step.get("stage")), str(step.get("stage", "working")))
    return text if step.get("bucket") is None else f"{text}, batches of {step['bucket']}"


@contextmanager
def steps_shown(label: str) -> Iterator[Callable[[Step], None]]:
    """Yields what to call with each step; what is on the terminal goes when it is done."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console, label) as show:
            yield show
    else:
        yield _Lines(label, console).show


class _Lines:
    """A line for each step that is news: the miner repeats itself to show that it lives."""

    def __init__(self, label: str, console: Any) -> None:  # noqa: ANN401 - rich is imported where it is used
        self._label, self._console = label, console
        self._last: Step | None = None

    def show(self, step: Step) -> None:
        if step and step != self._last:
            self._last = dict(step)
            self._console.print(f"{self._label}: {step_text(step)}", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _bar(console: Any, label: str) -> Iterator[Callable[[Step], None]]:  # noqa: ANN401 - as above
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[step]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None, step="")

        def show(step: Step) -> None:
            if step:
                bar.update(task, completed=step.get("done", 0), total=step.get("total") or None, step=step_text(step))

        yield show
