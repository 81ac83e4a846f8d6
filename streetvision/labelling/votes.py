"""From what an oracle says of a picture's views to one probability. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from streetvision.labelling.answer import Answer


@dataclass(frozen=True, slots=True)
class Votes:
    """What the views come to."""

    probability: float
    """Mean P(roadwork) of the views, as the model says it: not calibrated."""
    agreement: float
    """Share of the views that say as most do, above one half; 1 where there is one view."""
    count: int
    objects: tuple[str, ...]
    """What was seen, the most often seen first."""
    remark: str
    """The surest reason on the side that won."""


def combine(answers: Sequence[Answer]) -> Votes:
    """One vote for each view, weighed by its certainty; raises ValueError where there is none.

    The mean of probabilities, not of logits: a view that is very sure shall not outvote two that disagree with it
    (self-consistency by sampling, X. Wang et al., 2023, takes the majority; here views take the place of samples).
    """
    if not answers:
        raise ValueError("nobody voted")
    probability = sum(one.probability for one in answers) / len(answers)
    won = [one for one in answers if one.roadwork == (probability > 0.5)]
    agreement = max(len(won), len(answers) - len(won)) / len(answers)
    seen = Counter(name.lower() for one in won for name in dict.fromkeys(one.objects))
    remark = max(won, key=lambda one: one.certainty).remark if won else ""
    return Votes(probability, agreement, len(answers), tuple(name for name, _ in seen.most_common(8)), remark)
