"""A router fitted to what two models answer to labelled pictures: thresholds for a share, a stack, and what it gains.

Pure arithmetic. Thresholds need no labels: they are quantiles of how unsure the first model is and of how far pictures
lie, at which the wanted share of pictures goes to the second model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streetvision.errors import OperatorError
from streetvision.evaluation.figures import Bools, Floats, Sample
from streetvision.models.embedding_distance import Floats as Vectors
from streetvision.models.logits import sigmoids
from streetvision.models.router import RouterConfig, Rule, Stack

FEWEST = 50
"""Pictures below which a share means nothing."""
FEWEST_OF_A_CLASS = 30
"""Pictures of each class that a stack is fitted to: those that the router asks about."""
RIDGE = 1.0
"""How firmly a stack is held to the mean of both logits, in pictures."""
_STEPS = 50


@dataclass(frozen=True)
class PairAnswers:
    """Both models' answers to the same N pictures."""

    first: Sample
    second: Sample
    embeddings: Vectors
    """[N, D], the first model's."""

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where the second model is asked; None: no such rule."""

    band: float | None
    distance: float | None

    def asked(self, logits: Floats, distances: Floats) -> Bools:
        """[N]: for which pictures it is."""
        unsure = np.zeros(len(logits), np.bool_) if self.band is None else np.abs(logits) <= self.band
        return unsure if self.distance is None else unsure | (distances >= self.distance)


def fit_thresholds(rule: Rule, logits: Floats, distances: Floats, share: float) -> Thresholds:
    """Thresholds at which `share` of these pictures goes to the second model; `distances` are not looked at by unsure.

    With both rules each of them asks for the same number of pictures. Raises OperatorError for fewer than FEWEST.
    """
    if len(logits) < FEWEST:
        raise OperatorError(
            f"Fitting a router takes at least {FEWEST} pictures in the split `val`, and there are {len(logits)}: add "
            "pictures to the dataset."
        )
    each = share if rule != "both" else float(np.quantile(_sooner(logits, distances), share, method="lower"))
    band = float(np.quantile(np.abs(logits), each, method="lower")) if rule != "far" else None
    distance = float(np.quantile(distances, 1.0 - each, method="higher")) if rule != "unsure" else None
    return Thresholds(band, distance)


def _sooner(logits: Floats, distances: Floats) -> Floats:
    """[N]: the share of pictures that a rule asks about when it first asks about this one, of the sooner rule."""
    return np.minimum(_ranks(np.abs(logits)), _ranks(-distances))


def _ranks(values: Floats) -> Floats:
    """[N]: each value's place, 0 lowest to 1 highest."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") / max(1, len(values) - 1)


def fit_stack(first: Floats, second: Floats, labels: Bools, weights: tuple[float, float] = (0.5, 0.5)) -> Stack:
    """Logistic regression of labels [N] on both logits, by Newton's method, held to `weights` by RIDGE.

    Raises OperatorError with fewer than FEWEST_OF_A_CLASS pictures of a class.
    """
    if min(int(labels.sum()), int((~labels).sum())) < FEWEST_OF_A_CLASS:
        raise OperatorError(
            f"A stack takes at least {FEWEST_OF_A_CLASS} pictures of each class among those that the router asks "
            "about: leave --stack out, ask for a larger --share, or add pictures to the dataset."
        )
    inputs = np.stack([first, second, np.ones(len(first))], axis=1)
    start = np.array([*weights, 0.0])
    found = start.copy()
    for _ in range(_STEPS):
        said = sigmoids(inputs @ found)
        slope = inputs.T @ (said - labels) + RIDGE * (found - start)
        curvature = (inputs * (said * (1.0 - said))[:, None]).T @ inputs + RIDGE * np.eye(3)
        step = np.linalg.solve(curvature, slope)
        found -= step
        if np.abs(step).max() < 1e-9:
            break
    return Stack(*(round(float(value), 6) for value in found))


@dataclass(frozen=True)
class FittedRouter:
    """A router, and which pictures it asks about."""

    thresholds: Thresholds
    stack: Stack | None
    weights: tuple[float, float]

    def config(self, sha256: str) -> RouterConfig:
        """As `ensemble.json` holds it; `sha256` is of what its distances are measured against."""
        found = self.thresholds
        return RouterConfig(found.band, found.distance, "" if found.distance is None else sha256, self.stack)

    def both(self, pair: PairAnswers) -> Sample:
        """What both models together answer to every picture."""
        first, second = pair.first.logits, pair.second.logits
        if self.stack is not None:
            return replace(pair.first, logits=self.stack.first * first + self.stack.second * second + self.stack.bias)
        return replace(pair.first, logits=(self.weights[0] * first + self.weights[1] * second) / sum(self.weights))

    def asked(self, pair: PairAnswers, distances: Floats) -> Bools:
        """[N]: which pictures go to the second model."""
        return self.thresholds.asked(pair.first.logits, distances)

    def answers(self, pair: PairAnswers, asked: NDArray[np.bool_]) -> Sample:
        """What the router answers when the second model is asked about these."""
        return replace(pair.first, logits=np.where(asked, self.both(pair).logits, pair.first.logits))


def fit_router(
    rule: Rule,
    pair: PairAnswers,
    distances: Floats,
    share: float,
    *,
    stacked: bool = False,
    weights: tuple[float, float] = (1.0, 1.0),
) -> FittedRouter:
    """Fit thresholds to all pictures, and the stack, if there is to be one, to those that then go to both models."""
    thresholds = fit_thresholds(rule, pair.first.logits, distances, share)
    stack = None
    if stacked:
        asked = thresholds.asked(pair.first.logits, distances)
        even = (weights[0] / sum(weights), weights[1] / sum(weights))
        stack = fit_stack(pair.first.logits[asked], pair.second.logits[asked], pair.first.labels[asked], even)
    return FittedRouter(thresholds, stack, weights)
