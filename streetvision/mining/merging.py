"""Many requests, one picture: what the rows of one image amount to. Pure, and the same however often they are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from streetvision.prediction_log.row import LogRow


@dataclass(slots=True)
class Answers:
    """The rows of one image, taken together."""

    sha256: str
    rows: dict[int, LogRow] = field(default_factory=dict)
    """By id, so that a row read twice counts once."""

    @property
    def newest(self) -> LogRow:
        """The last request, whatever became of it."""
        return self.rows[max(self.rows)]

    @property
    def span(self) -> tuple[float, float]:
        """Unix seconds of the first and the last arrival."""
        times = [row.time for row in self.rows.values()]
        return min(times), max(times)

    @property
    def validators(self) -> set[str]:
        """Hotkeys that asked."""
        return {row.validator for row in self.rows.values()}

    @property
    def by_model(self) -> dict[str, LogRow]:
        """The newest answered row of each model version, oldest version first."""
        answered = (
            row for _, row in sorted(self.rows.items()) if row.probability is not None and row.logit is not None
        )
        return {row.model_version: row for row in answered}

    @property
    def compared(self) -> LogRow | None:
        """The newest row that two members of an ensemble answered."""
        return max(
            (row for row in self.rows.values() if row.second_probability is not None),
            key=lambda row: row.id,
            default=None,
        )

    @property
    def embedded(self) -> LogRow | None:
        """The newest row with a finite embedding."""
        usable = (
            row for row in self.rows.values() if row.embedding is not None and bool(np.isfinite(row.embedding).all())
        )
        return max(usable, key=lambda row: row.id, default=None)


def merge(rows: Iterable[LogRow]) -> dict[str, Answers]:
    """Rows by image; those that brought no image are left out."""
    merged: dict[str, Answers] = {}
    for row in rows:
        if row.sha256:
            merged.setdefault(row.sha256, Answers(row.sha256)).rows[row.id] = row
    return merged
