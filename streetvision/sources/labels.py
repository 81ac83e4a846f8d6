"""From the words that people and datasets use to a label: is roadwork in view or not?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CLASSES = ("none", "roadwork")
"""Names of the classes, by label."""

POSITIVE = frozenset({"1", "1.0", "true", "yes", "roadwork", "roadworks", "positive", "pos", "works", "construction"})
NEGATIVE = frozenset(
    {"0", "0.0", "false", "no", "none", "negative", "neg", "no_roadwork", "no-roadwork", "noroadwork", "background"}
)


@dataclass(frozen=True, slots=True)
class LabelWords:
    """Which values mean roadwork; where they were named by the operator, every other value means none."""

    positive: frozenset[str] = POSITIVE
    negative: frozenset[str] | None = NEGATIVE
    """None: whatever is not positive."""

    def read(self, value: object) -> bool | None:
        """The label that a value stands for; None when it stands for none."""
        word = _word(value)
        if word in self.positive:
            return True
        if not word or (self.negative is not None and word not in self.negative):
            return None
        return False


USUAL = LabelWords()


def words(positive: Iterable[str] = ()) -> LabelWords:
    """The usual words, or those that the operator names."""
    named = frozenset(_word(value) for value in positive)
    return LabelWords(named, None) if named else USUAL


def _word(value: object) -> str:
    return "" if value is None else str(value).strip().lower()
