"""From two models and a dataset to a router: what both answer, what the first one knows, thresholds, and their gain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streetvision.engine.types import Prediction
from streetvision.errors import OperatorError
from streetvision.evaluation.figures import Bools, Floats, Sample, weighted_figures
from streetvision.evaluation.predictions import Progress, Serving, Unanswered, answers, sample_of, serving
from streetvision.evaluation.router_fit import FittedRouter, PairAnswers, fit_router
from streetvision.models.embedding_distance import Floats as Vectors
from streetvision.models.embedding_distance import KnownEmbeddings, known_embeddings
from streetvision.models.router import Rule
from streetvision.sources.dataset import Dataset, Example

MOST_KNOWN = 4_000
"""Pictures of the split `train` whose embeddings are learnt from, at most: more hardly move a covariance."""
FEWEST_KNOWN = 50
FIGURES = ("accuracy", "mcc", "nll")

Answered = Mapping[Path, Prediction]


@dataclass(frozen=True, slots=True)
class RouterWish:
    """What the operator asks for."""

    rule: Rule
    share: float
    """Of the pictures, that are to go to the second model; above 0 and below 1."""
    stacked: bool = False
    weights: tuple[float, float] = (1.0, 1.0)
    """What the members' logits weigh in their mean."""

    @property
    def measures(self) -> bool:
        """Whether distances are needed."""
        return self.rule != "unsure"


@dataclass(frozen=True)
class MadeRouter:
    """A router that fits a dataset."""

    fitted: FittedRouter
    known: KnownEmbeddings | None
    facts: dict[str, Any]
    """What it was fitted to, and its figures, for the model's card and for people."""


def router_pictures(dataset: Dataset, wish: RouterWish) -> dict[str, list[Example]]:
    """The pictures by split that a router is made from; raises OperatorError where they are too few."""
    train = dataset.examples("train") if wish.measures else []
    if wish.measures and len(train) < FEWEST_KNOWN:
        raise OperatorError(
            f"The distance takes at least {FEWEST_KNOWN} pictures in the split `train` of {dataset.name}, and there "
            f"are {len(train)}: use --route unsure, or a dataset that the first model learnt from."
        )
    step = -(-len(train) // MOST_KNOWN) or 1
    pictures = {"train": train[::step], "val": dataset.examples("val"), "test": dataset.examples("test")}
    if not pictures["val"]:
        raise OperatorError(
            f"{dataset.name} has no pictures in its split `val`, which the router is fitted to: name a dataset that "
            "`streetvision data` made."
        )
    return pictures


async def make_router(
    members: Sequence[Path],
    dataset: Dataset,
    wish: RouterWish,
    how: Serving,
    *,
    progress: Progress = lambda _: None,
) -> MadeRouter:
    """Fit on the split `val`, with what the first model knows from `train`, and judge on `test` too if there is one.

    `members` are two models' folders. Raises OperatorError: too few pictures, a model that cannot run.
    """
    pictures = router_pictures(dataset, wish)
    judged = [*pictures["val"], *pictures["test"]]
    first = await _answered(members[0], [*pictures["train"], *judged], how, progress)
    second = await _answered(members[1], judged, how, progress)
    known = known_embeddings(_vectors(pictures["train"], first)) if wish.measures else None
    val = pair_of(pictures["val"], first, second)
    fitted = fit_router(wish.rule, val, _distances(known, val), wish.share, stacked=wish.stacked, weights=wish.weights)
    splits = {"val": val} | ({"test": pair_of(pictures["test"], first, second)} if pictures["test"] else {})
    figures = {name: router_figures(fitted, pair, _distances(known, pair)) for name, pair in splits.items()}
    facts = {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "share": wish.share, **figures}
    return MadeRouter(fitted, known, facts)


def pair_of(examples: Iterable[Example], first: Answered, second: Answered) -> PairAnswers:
    """Both models' answers to the pictures that both answered."""
    told = [one for one in examples if one.path in first and one.path in second]
    mine, other = (sample_of(told, [found[one.path].logit for one in told]) for found in (first, second))
    return PairAnswers(mine, other, _vectors(told, first))


def router_figures(fitted: FittedRouter, pair: PairAnswers, distances: Floats) -> dict[str, Any]:
    """How the first model, both together, and the router do on pictures, and how many it asks about."""
    asked = fitted.asked(pair, distances)
    samples = {"first": pair.first, "both": fitted.both(pair), "router": fitted.answers(pair, asked)}
    return {"pictures": len(pair), "asked": _share(asked)} | {name: _figures(one) for name, one in samples.items()}


def _figures(sample: Sample) -> dict[str, float | None]:
    found = weighted_figures(sample, np.ones((1, len(sample))))
    values = {name: float(found[name][0]) for name in FIGURES}
    return {name: None if np.isnan(value) else round(value, 6) for name, value in values.items()}


def _share(asked: Bools) -> float:
    return round(float(asked.mean()), 6) if len(asked) else 0.0


def _distances(known: KnownEmbeddings | None, pair: PairAnswers) -> Floats:
    """[N]; zeros where nothing is measured."""
    return np.zeros(len(pair)) if known is None else known.distances(pair.embeddings).astype(np.float64)


def _vectors(examples: Iterable[Example], found: Answered) -> Vectors:
    rows = [found[one.path].embedding for one in examples if one.path in found]
    return np.stack(rows) if rows else np.zeros((0, 1), np.float32)


async def _answered(folder: Path, examples: Sequence[Example], how: Serving, progress: Progress) -> Answered:
    """What the model answers to each picture; those that it cannot answer are left out."""
    found: dict[Path, Prediction] = {}
    async with serving(folder, how) as engine:
        async for path, answer in answers(engine, ((one.path, one.path.read_bytes) for one in examples)):
            if not isinstance(answer, Unanswered):
                found[path] = answer
            progress(1)
    return found
