"""A second opinion on a picture's label, by a model that may look longer than the miner can. None is built in yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streetvision.mining.schema import Label


@dataclass(frozen=True, slots=True)
class LabelQuestion:
    """A picture to judge."""

    sha256: str
    path: Path
    probability: float
    """What the miner answered, P(roadwork)."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an oracle thinks; it is shown beside the picture and is never taken for a person's label."""

    label: Label
    confidence: float
    """In [0, 1]."""
    remark: str = ""
    """Why, in a sentence, if the oracle says."""


class LabelOracle(Protocol):
    """Judges pictures; `mine hard` asks it about its picks."""

    @property
    def name(self) -> str:
        """Whose opinion it is, kept beside it."""
        ...

    def judge(self, questions: Sequence[LabelQuestion]) -> Sequence[Opinion | None]:
        """One opinion for each question, None where it has none; raises OperatorError when it cannot be asked."""
        ...


class NoOracle:
    """Has no opinion."""

    name = "none"

    def judge(self, questions: Sequence[LabelQuestion]) -> Sequence[Opinion | None]:
        """None for each question."""
        return [None] * len(questions)
