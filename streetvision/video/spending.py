"""What second opinions cost: known before anything is sent, counted when it is sent, bounded by the month.

The record is a line a call, written before the call: after any end it never shows less than was spent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from streetvision.base.disk import sentences, write_all
from streetvision.base.spending import beyond
from streetvision.errors import OperatorError
from streetvision.video.record import VIDEOS

FILE = "spending.jsonl"
DOLLARS = "$"


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Spending:
    """The record in one state folder."""

    state: Path
    budget: float | None
    """Dollars of a calendar month; None: no bound."""
    now: Callable[[], datetime] = utc_now

    @property
    def path(self) -> Path:
        """Its file."""
        return self.state / VIDEOS / FILE

    def of_the_month(self) -> float:
        """Dollars since the first of this month."""
        month = f"{self.now():%Y-%m}"
        return sum(_dollars(line) for line in self._lines() if str(line.get("at", "")).startswith(month))

    def require(self, dollars: float) -> None:
        """OperatorError where so much more would pass the budget."""
        if why := beyond(self.of_the_month(), dollars, self.budget, "VIDEO_BUDGET", currency=DOLLARS):
            raise OperatorError(why)

    def count(self, what: str, dollars: float) -> None:
        """Write down a call that is about to be made; OperatorError beyond the budget, or where the disk refuses."""
        self.require(dollars)
        line = json.dumps({"at": self.now().isoformat(timespec="seconds"), "what": what, "dollars": round(dollars, 6)})
        with sentences(f"Writing {self.path}"):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                write_all(descriptor, f"{line}\n".encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with sentences(f"Reading {self.path}"):
            texts = self.path.read_text(errors="replace").splitlines()
        for text in texts:
            try:
                line = json.loads(text)
            except ValueError:
                continue  # a line that a power failure cut
            if isinstance(line, dict):
                yield line


def _dollars(line: dict[str, Any]) -> float:
    """Of one call; nothing where the line holds no sum, as one that was written by hand."""
    dollars = line.get("dollars")
    sound = isinstance(dollars, int | float) and isfinite(dollars) and dollars > 0.0
    return float(dollars) if sound and dollars is not None else 0.0
