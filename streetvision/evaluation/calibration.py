"""Temperature scaling and the figures that judge a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streetvision.models.logits import sigmoids
from streetvision.subnet import correlation

Logits = NDArray[np.float64] | NDArray[np.float32]
Labels = NDArray[np.bool_]
Weights = NDArray[np.float64]

LOW, HIGH = 0.05, 20.0
"""Temperatures outside this range mean a broken model rather than a miscalibrated one."""
WORTHWHILE = 0.002
"""Gain in accuracy below which a threshold stays at 0.5: less is chance."""
BINS = 15
"""Of probabilities, in the calibration error and the reliability plot."""


def negative_log_likelihood(
    logits: Logits, labels: Labels, temperature: float = 1.0, *, weights: Weights | None = None
) -> float:
    """Mean NLL in nats of labels [N] under sigmoid(logits [N] / temperature), each weighing `weights` [N]."""
    margin = np.where(labels, logits, -logits).astype(np.float64) / temperature
    return float(np.average(np.logaddexp(0.0, -margin), weights=weights))


def fit_temperature(logits: Logits, labels: Labels, *, weights: Weights | None = None, steps: int = 60) -> float:
    """The temperature that minimises the NLL, by golden-section search over its logarithm.

    NLL has one minimum in 1/temperature, so the search is exact. Raises ValueError unless both classes are present,
    since otherwise any confidence is best. Separable logits push the result to the lower end of the range.
    """
    if len(logits) != len(labels) or len(np.unique(labels)) < 2:
        raise ValueError("a temperature is fitted to logits and labels of equal length with both classes among them")
    low, high, ratio = np.log(LOW), np.log(HIGH), (np.sqrt(5.0) - 1.0) / 2.0
    for _ in range(steps):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        at_a, at_b = (negative_log_likelihood(logits, labels, float(np.exp(x)), weights=weights) for x in (a, b))
        if at_a < at_b:
            high = b
        else:
            low = a
    return float(np.exp((low + high) / 2.0))


def best_threshold(probabilities: Logits, labels: Labels, *, weights: Weights | None = None) -> float:
    """The probability in [0.05, 0.95] at which deciding gives the most right answers; the middle of the best range."""
    grid = np.linspace(0.05, 0.95, 181)
    right = np.array([np.average((probabilities > at) == labels, weights=weights) for at in grid])
    return float(np.median(grid[right >= right.max() - 1e-12]))


def threshold_gain(probabilities: Logits, labels: Labels, threshold: float, *, weights: Weights | None = None) -> float:
    """How much more accurate it is to decide at `threshold` than at 0.5, as a share of all pictures."""
    at_threshold, at_half = (np.average((probabilities > at) == labels, weights=weights) for at in (threshold, 0.5))
    return float(at_threshold - at_half)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What fits a model's answers best."""

    temperature: float
    threshold: float
    """Of the probability at that temperature; 0.5 where another one gains less than WORTHWHILE."""


def fit_calibration(logits: Logits, labels: Labels, *, weights: Weights | None = None) -> Calibration:
    """Temperature and threshold of raw logits [N]; the threshold to three places, as a description says it.

    Raises ValueError unless both classes are present.
    """
    temperature = fit_temperature(logits, labels, weights=weights)
    probabilities = sigmoids(np.asarray(logits, np.float64) / temperature)
    threshold = round(best_threshold(probabilities, labels, weights=weights), 3)
    gain = threshold_gain(probabilities, labels, threshold, weights=weights)
    return Calibration(temperature, threshold if gain >= WORTHWHILE else 0.5)


def bin_of(probabilities: Logits, bins: int) -> NDArray[np.int64]:
    """Which of equal-width bins each probability [N] falls into; 1 itself into the last."""
    return np.minimum((np.asarray(probabilities) * bins).astype(np.int64), bins - 1)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The answers of one stretch of probabilities."""

    low: float
    high: float
    count: int
    mean: float
    """Of their P(roadwork); 0 in an empty bin."""
    share: float
    """Of them that show roadwork; 0 in an empty bin."""


def reliability(probabilities: Logits, labels: Labels, *, bins: int = BINS) -> list[ReliabilityBin]:
    """What was said beside what was so, over equal-width bins of P(roadwork)."""
    index = bin_of(probabilities, bins)
    counts = np.bincount(index, minlength=bins)
    told = np.bincount(index, weights=np.asarray(probabilities, np.float64), minlength=bins) / np.maximum(counts, 1)
    true = np.bincount(index, weights=labels.astype(np.float64), minlength=bins) / np.maximum(counts, 1)
    return [
        ReliabilityBin(i / bins, (i + 1) / bins, int(counts[i]), float(told[i]), float(true[i])) for i in range(bins)
    ]


def expected_calibration_error(probabilities: Logits, labels: Labels, *, bins: int = BINS) -> float:
    """Mean gap between P(roadwork) and the share of roadwork over equal-width bins, weighted by their counts."""
    found = reliability(probabilities, labels, bins=bins)
    return sum(one.count * abs(one.mean - one.share) for one in found) / max(len(labels), 1)


@dataclass(frozen=True, slots=True)
class Figures:
    """How a classifier did on one set of pictures at one threshold."""

    count: int
    accuracy: float
    mcc: float
    false_positive_rate: float
    false_negative_rate: float
    ece: float
    nll: float


def judge(logits: Logits, labels: Labels, *, threshold: float = 0.5) -> Figures:
    """Figures of calibrated logits [N] against labels [N]; rates are 0 where their class is absent."""
    probabilities = sigmoids(np.asarray(logits))
    said = probabilities > threshold
    tp, tn = float((said & labels).sum()), float((~said & ~labels).sum())
    fp, fn = float((said & ~labels).sum()), float((~said & labels).sum())
    return Figures(
        count=len(labels),
        accuracy=(tp + tn) / max(len(labels), 1),
        mcc=correlation(tp, tn, fp, fn),
        false_positive_rate=fp / (fp + tn) if fp + tn else 0.0,
        false_negative_rate=fn / (fn + tp) if fn + tp else 0.0,
        ece=expected_calibration_error(probabilities, labels),
        nll=negative_log_likelihood(logits, labels),
    )
