"""How far an oracle may be believed: its certainty and its labels against those of people. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from streetvision.labelling.oracle import Label
from streetvision.models.logits import sigmoid, sigmoids

FOLDS = 5
UNSURE = 0.6
"""Calibrated certainty below which an opinion is none."""
_CLIP = 0.02
"""A model that says 1 is as sure as one that says 0.98: no number of theirs deserves an infinite logit."""
_PRIOR_VARIANCE = 0.25
"""One label that contradicts a sure oracle leaves it on its side, and worth a second look; ten turn it."""
_Z95 = 1.959964

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """A picture that both an oracle and a person judged."""

    probability: float
    """P(roadwork) by the votes, not calibrated."""
    human: bool
    place: str
    """Pictures of one place are one witness."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(roadwork) = sigmoid(slope * logit + offset) of what the model says (J. Platt, 1999)."""

    slope: float = 1.0
    offset: float = 0.0

    def probability(self, said: float) -> float:
        """The calibrated one."""
        return sigmoid(self.slope * float(_logits(np.array([said]))[0]) + self.offset)


@dataclass(frozen=True, slots=True)
class ClassError:
    """How often an oracle's label of one class is wrong, by the labels of people."""

    pictures: int = 0
    wrong: int = 0
    witnesses: int = 0
    """Places that the pictures show; the interval rests on them."""

    @property
    def rate(self) -> float | None:
        """Share that is wrong; None without a picture."""
        return self.wrong / self.pictures if self.pictures else None

    @property
    def interval(self) -> tuple[float, float]:
        """The rate lies within it in 95 of 100 cases (E. B. Wilson, 1927); all of [0, 1] without a picture."""
        return wilson(self.rate or 0.0, self.witnesses)


@dataclass(frozen=True)
class Measured:
    """What the comparison with people comes to."""

    calibration: Calibration = field(default_factory=Calibration)
    errors: Mapping[bool, ClassError] = field(default_factory=lambda: {True: ClassError(), False: ClassError()})
    """By the oracle's label; each picture was labelled by a calibration that had not seen it."""
    compared: int = 0
    """Pictures that both judged, those included of which the oracle is unsure."""

    def trust(self, probability: float) -> float:
        """Weight in the loss of a label with this calibrated P(roadwork), in [0, 1]; 0: not to be learned from.

        Labels that are wrong with probability e teach 1 - 2e of what right ones teach: a wrong one takes back what a
        right one gave. e is the larger of what the picture's certainty says and of the upper end of the class's
        measured error: an oracle that nobody compared with people teaches nothing.
        """
        label = label_of(probability)
        if label == "unsure":
            return 0.0
        roadwork = label == "roadwork"
        doubt = 1.0 - probability if roadwork else probability
        error = max(doubt, self.errors[roadwork].interval[1])
        return round(max(0.0, 1.0 - 2.0 * error), 3)


def label_of(probability: float) -> Label:
    """The label that a calibrated P(roadwork) stands for."""
    if max(probability, 1.0 - probability) < UNSURE:
        return "unsure"
    return "roadwork" if probability > 0.5 else "none"


def measure(judged: Sequence[Judged]) -> Measured:
    """Calibrate on all, and count errors by calibrations that did not see the picture nor its place."""
    if not judged:
        return Measured()
    said = np.array([one.probability for one in judged])
    human = np.array([one.human for one in judged])
    folds = np.array([_fold(one.place) for one in judged])
    calibrated = np.empty(len(judged))
    for fold in range(FOLDS):
        held = folds == fold
        found = fit(said[~held], human[~held])
        calibrated[held] = sigmoids(found.slope * _logits(said[held]) + found.offset)
    errors = {label: _errors(judged, calibrated, label) for label in (True, False)}
    return Measured(fit(said, human), errors, len(judged))


def fit(said: Floats, human: NDArray[np.bool_], *, steps: int = 50) -> Calibration:
    """The likeliest calibration of probabilities [N] by labels [N]; the fewer there are, the nearer to the identity.

    Newton's method on the log loss with a normal prior about slope 1 and offset 0. The slope is never negative: a model
    that is wrong more often than right is not to be believed the other way round.
    """
    z, y = _logits(said), human.astype(np.float64)
    inputs = np.stack([z, np.ones_like(z)], axis=1)
    prior, precision = np.array([1.0, 0.0]), np.eye(2) / _PRIOR_VARIANCE
    found = prior.copy()
    for _ in range(steps):
        p = sigmoids(inputs @ found)
        gradient = inputs.T @ (p - y) + precision @ (found - prior)
        curvature = (inputs * (p * (1.0 - p))[:, None]).T @ inputs + precision
        step = np.linalg.solve(curvature, gradient)
        found = found - step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-9:
            break
    return Calibration(max(0.0, float(found[0])), float(found[1]))


def wilson(rate: float, count: int) -> tuple[float, float]:
    """Lower and upper end of a share that was seen in so many independent cases."""
    if not count:
        return 0.0, 1.0
    share = _Z95**2 / count
    middle = (rate + share / 2) / (1 + share)
    half = _Z95 / (1 + share) * sqrt(rate * (1 - rate) / count + share / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def _errors(judged: Sequence[Judged], calibrated: Floats, label: bool) -> ClassError:
    name = "roadwork" if label else "none"
    chosen = [one for one, p in zip(judged, calibrated, strict=True) if label_of(float(p)) == name]
    wrong = sum(one.human != label for one in chosen)
    return ClassError(len(chosen), wrong, len({one.place for one in chosen}))


def _logits(said: Floats) -> Floats:
    kept = np.clip(said, _CLIP, 1.0 - _CLIP)
    return np.asarray(np.log(kept / (1.0 - kept)))


def _fold(place: str) -> int:
    return hashlib.sha256(place.encode()).digest()[0] % FOLDS
