"""What a run is about to ask, before a question is paid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streetvision.labelling.asking import missing_views, reservation
from streetvision.labelling.pictures import Picture
from streetvision.labelling.prompt import Prompt
from streetvision.labelling.store import Cost, LabellingStore
from streetvision.settings.oracle import OracleSettings


@dataclass(frozen=True, slots=True)
class Estimate:
    """Questions and their cost."""

    pictures: int
    cached: int
    """Of these, nothing is asked."""
    questions: int
    likely: Cost
    """By the mean of the answers so far; as `most` before the first."""
    most: Cost
    """By what is set aside for each question."""


def estimate(settings: OracleSettings, prompt: Prompt, store: LabellingStore, pictures: Sequence[Picture]) -> Estimate:
    """Of all questions that were not asked before; raises OperatorError."""
    asker = prompt.asker
    missing = [len(missing_views(store, asker, one, settings)) for one in pictures]
    questions, most = sum(missing), reservation(settings, prompt)
    likely = store.mean_cost(asker) or most
    return Estimate(len(missing), missing.count(0), questions, times(likely, questions), times(most, questions))


def times(cost: Cost, count: int) -> Cost:
    """Of so many."""
    return Cost(cost.tokens * count, cost.money * count)
