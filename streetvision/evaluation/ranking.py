"""How well scores order two classes, whatever the threshold: ROC curve and the area under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Points from (0, 0) to (1, 1); one for each distinct score, so that ties give a slanted piece."""

    false_alarms: Floats
    recall: Floats


def roc_curve(scores: Floats, labels: Bools) -> RocCurve | None:
    """The curve of scores [N], the higher the likelier positive; None unless both classes are among the labels."""
    positive, negative = _by_score(scores, labels, np.ones((1, len(labels))))
    if not (positive.sum() and negative.sum()):
        return None
    return RocCurve(_cumulated(negative), _cumulated(positive))


def areas(scores: Floats, labels: Bools, weights: Floats) -> Floats:
    """Area under the ROC curve for each row of weights [D, N]; NaN where the weights leave one class alone.

    The probability that a positive scores above a negative, a tie counting one half (Mann-Whitney).
    """
    positive, negative = _by_score(scores, labels, weights)
    below = np.cumsum(negative, axis=1) - negative
    won = (positive * (below + 0.5 * negative)).sum(axis=1)
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    area: Floats = np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return area


def _by_score(scores: Floats, labels: Bools, weights: Floats) -> tuple[Floats, Floats]:
    """Weights of positives and of negatives at each distinct score, in rising order: twice [D, scores]."""
    if not len(scores):
        empty = np.zeros((len(weights), 0))
        return empty, empty
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    sorted_weights, truth = weights[:, order], labels[order]
    return (
        np.add.reduceat(sorted_weights * truth, starts, axis=1),
        np.add.reduceat(sorted_weights * ~truth, starts, axis=1),
    )


def _cumulated(weights: Floats) -> Floats:
    """Shares at or above each threshold, from none to all."""
    above = np.cumsum(weights[0, ::-1])
    return np.concatenate([[0.0], above / above[-1]])
