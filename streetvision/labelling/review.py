"""What a person should look at first: where oracle, miner and people disagree. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streetvision.labelling.verdicts import Verdict
from streetvision.sources.labels import CLASSES

LEAST = 0.3
"""Disagreement below which nobody's time is asked for."""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One picture, why it is worth a look, and how much."""

    verdict: Verdict
    urgency: float
    """In [0, 1]: how far the parties are apart, each by its own certainty."""
    why: str


def rank(verdicts: Iterable[Verdict], limit: int) -> list[ReviewItem]:
    """The most urgent first, at most so many."""
    items = [item for item in map(review, verdicts) if item.urgency >= LEAST]
    return sorted(items, key=lambda item: (-item.urgency, item.verdict.picture.sha256))[:limit]


def review(verdict: Verdict) -> ReviewItem:
    """A person's label that both contradict is probably wrong; without one, the gap between the two counts.

    A person whom the oracle alone contradicts is asked again too, after the others: the oracle is wrong more often.
    """
    oracle, miner, human = verdict.probability, verdict.picture.probability, verdict.picture.human
    said = f"the oracle says {_side(oracle)} ({oracle:.2f})"
    if human is not None:
        against = 1.0 - oracle if human else oracle
        if miner is None:
            return ReviewItem(verdict, against / 2, f"a person said {CLASSES[human]}, {said}")
        both = against * (1.0 - miner if human else miner)
        words = f"a person said {CLASSES[human]}, {said}, the miner {_side(miner)} ({miner:.2f})"
        return ReviewItem(verdict, max(both, against / 2), words)
    if miner is not None:
        return ReviewItem(verdict, abs(oracle - miner), f"{said}, the miner {_side(miner)} ({miner:.2f})")
    unsure = 1.0 - abs(2.0 * oracle - 1.0)
    split = f"; {verdict.votes.agreement:.0%} of its views agree" if verdict.votes.count > 1 else ""
    return ReviewItem(verdict, unsure / 2, f"{said} and is not sure{split}")


def _side(probability: float) -> str:
    return CLASSES[probability > 0.5]
