"""The figures that judge a classifier, each with an interval from resampled groups.

Pictures of one drive or place resemble each other, so that whole groups are drawn anew, never single pictures (the
cluster bootstrap; A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). Few
groups make percentiles too narrow; they are moved outwards as Student's t is wider than the normal distribution (the
expanded percentile interval; T. C. Hesterberg, What Teachers Should Know About the Bootstrap, 2015).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from streetvision.evaluation.calibration import BINS, bin_of
from streetvision.evaluation.ranking import areas
from streetvision.models.logits import sigmoids
from streetvision.subnet import SUBNET, correlation

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NAMES = ("accuracy", "mcc", "auc", "recall", "false_alarms", "ece", "nll")
"""In the order of reports. Rates are shares of their class; `nll` is in nats."""
DRAWS = 1000
MIN_GROUPS = 5
"""Fewer cannot show how much groups differ: an interval over them would be too narrow."""
MIN_DEFINED = 0.9
"""Share of the draws in which a figure must be defined, so that its interval means anything."""
_CELLS = 2_000_000
"""Weights that are held at once."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One figure with the interval that holds it in 95 of 100 draws; None where it is undefined or cannot be told."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Sample:
    """Calibrated logits [N] with labels [N] and groups [N] of the same pictures."""

    logits: Floats
    labels: Bools
    groups: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def group_count(self) -> int:
        """How many groups there are."""
        return len(np.unique(self.groups))

    @property
    def probabilities(self) -> Floats:
        """P(roadwork) [N]."""
        return sigmoids(self.logits)

    @property
    def said(self) -> Bools:
        """How a validator reads each answer [N]."""
        return self.probabilities > SUBNET.threshold

    def part(self, chosen: Bools | NDArray[np.int64]) -> Sample:
        """The pictures where `chosen` [N] is true, or those at the places `chosen`, in their order."""
        return Sample(self.logits[chosen], self.labels[chosen], self.groups[chosen])


def group_weights(groups: NDArray[np.str_], draws: int, rng: np.random.Generator) -> Iterator[Floats]:
    """How often each of N pictures counts in each draw of as many groups as there are; blocks [some draws, N]."""
    names, place = np.unique(groups, return_inverse=True)
    step = max(1, _CELLS // max(1, len(groups)))
    for start in range(0, draws if len(names) else 0, step):
        size = min(step, draws - start)
        drawn = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size)
        yield drawn[:, place].astype(np.float64)


def weighted_figures(sample: Sample, weights: Floats) -> dict[str, Floats]:
    """Each of NAMES for each row of weights [D, N]; NaN where it is undefined."""
    said, truth = sample.said, sample.labels
    tp, tn = weights @ (said & truth), weights @ (~said & ~truth)
    fp, fn = weights @ (said & ~truth), weights @ (~said & truth)
    count, both = weights.sum(axis=1), ((tp + fn) > 0) & ((tn + fp) > 0)
    return {
        "accuracy": _ratio(tp + tn, count),
        "mcc": np.where(both, correlation(tp, tn, fp, fn), np.nan),
        "auc": areas(sample.logits, truth, weights),
        "recall": _ratio(tp, tp + fn),
        "false_alarms": _ratio(fp, fp + tn),
        "ece": _ratio(np.abs(weights @ _gaps(sample)).sum(axis=1), count),
        "nll": _ratio(weights @ np.logaddexp(0.0, np.where(truth, -sample.logits, sample.logits)), count),
    }


def resampled_figures(sample: Sample, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Floats]:
    """Each of NAMES in each of `draws` resamplings of the groups; the same seed draws the same groups."""
    blocks = [weighted_figures(sample, block) for block in group_weights(sample.groups, draws, _rng(seed))]
    return {name: np.concatenate([block[name] for block in blocks] or [np.zeros(0)]) for name in NAMES}


def estimates(sample: Sample, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Estimate]:
    """Each of NAMES with its interval; no intervals from fewer than MIN_GROUPS groups."""
    return estimates_from(sample, interval_draws(sample, draws=draws, seed=seed))


def interval_draws(sample: Sample, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Floats]:
    """The resampled figures that intervals are made of; none from fewer than MIN_GROUPS groups."""
    return resampled_figures(sample, draws=draws, seed=seed) if has_intervals(sample) else {}


def estimates_from(sample: Sample, drawn: Mapping[str, Floats]) -> dict[str, Estimate]:
    """Each of NAMES, with its interval where there are draws of it."""
    values = weighted_figures(sample, np.ones((1, len(sample))))
    return {name: estimate(float(values[name][0]), drawn.get(name), sample.group_count) for name in NAMES}


def mean_estimate(values: Floats, groups: NDArray[np.str_], *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """The mean of values [N] with its interval from resampled groups [N]."""
    if not len(values):
        return Estimate(None)
    blocks = [_ratio(block @ values, block.sum(axis=1)) for block in group_weights(groups, draws, _rng(seed))]
    count = len(np.unique(groups))
    return estimate(float(values.mean()), np.concatenate(blocks) if count >= MIN_GROUPS else None, count)


def has_intervals(sample: Sample) -> bool:
    """Whether there are groups enough for intervals."""
    return sample.group_count >= MIN_GROUPS


def estimate(value: float, drawn: Floats | None, groups: int) -> Estimate:
    """A figure with the middle 95 % of its draws from so many groups, and more where they are few; NaN is no value."""
    if np.isnan(value):
        return Estimate(None)
    defined = drawn[~np.isnan(drawn)] if drawn is not None else np.zeros(0)
    if drawn is None or len(defined) < max(1.0, MIN_DEFINED * len(drawn)):
        return Estimate(value)
    outside = tail(groups)
    low, high = np.quantile(defined, (outside, 1.0 - outside))
    return Estimate(value, float(low), float(high))


def tail(groups: int) -> float:
    """The share of the draws to leave out at each end, 2.5 % with many groups; at least 2 groups.

    Student's t by the expansion of R. A. Fisher and E. A. Cornish (Technometrics 2, 1960), within 0.3 % from 4 degrees
    of freedom on.
    """
    z, freedom = NormalDist().inv_cdf(0.975), groups - 1
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return NormalDist().cdf(-t * (groups / freedom) ** 0.5)


def _gaps(sample: Sample) -> Floats:
    """P - truth of each picture in the column of its bin: [N, BINS]."""
    gaps = np.zeros((len(sample), BINS))
    probabilities = sample.probabilities
    gaps[np.arange(len(sample)), bin_of(probabilities, BINS)] = probabilities - sample.labels
    return gaps


def _ratio(part: Floats, whole: Floats) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return ratio


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng((31, seed))
