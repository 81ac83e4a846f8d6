"""How far long work is where there is no terminal for a bar: a line on stderr now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

import typer

EVERY_S = 30.0
"""Between two lines, and before the first: short work says nothing."""


class ProgressLines:
    """Says what it is told, every EVERY_S at most."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._said_at, self._done = clock, clock(), 0

    def show(self, label: str, done: int, total: int | None, note: str = "") -> None:
        """So much of `total` is done; None or 0 where that is not known."""
        now = self._clock()
        if now - self._said_at < EVERY_S:
            return
        self._said_at = now
        of = f" of {total:,}" if total else ""
        typer.echo(f"{label}: {done:,}{of}  {note}".rstrip(), err=True)

    def counting(self, label: str, total: int) -> Callable[[int], None]:
        """What to call with each step."""

        def advance(steps: int) -> None:
            self._done += steps
            self.show(label, self._done, total)

        return advance
