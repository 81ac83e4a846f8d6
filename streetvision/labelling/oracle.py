"""The seam between whoever wants a second opinion on a picture's label and the model that gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

Label = Literal["roadwork", "none", "unsure"]
"""What a person or an oracle says of a picture."""
LABELS: tuple[Label, ...] = get_args(Label)


@dataclass(frozen=True, slots=True)
class LabelQuestion:
    """A picture to judge."""

    sha256: str
    path: Path
    probability: float | None = None
    """What the miner answered, P(roadwork); None where it was not asked."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an oracle thinks; it is shown beside the picture and is never taken for a person's label."""

    label: Label
    confidence: float
    """In [0, 1]."""
    remark: str = ""
    """Why, in a sentence, if the oracle says."""


class LabelOracle(Protocol):
    """Judges pictures, whoever chose or made them."""

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
