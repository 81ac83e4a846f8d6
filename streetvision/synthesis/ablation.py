"""Does it pay? A probe that learns from real pictures, against one that learns from their variations too. Pure.

Real pictures are divided again and again, groups whole, into those learned from and those judged on; a variation is
learned from only where its parent is. What a kind adds is its gain in balanced accuracy on real pictures, and it is
kept where that gain lies above zero beyond noise, by the corrected resampled t-test (Nadeau and Bengio 2003): the
divisions overlap, so their spread alone would promise too much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from streetvision.sources.label_noise import probe
from streetvision.sources.neighbours import Vectors

SEEDS = 10
JUDGED_SHARE = 0.3
RISK = 0.05
"""Chance that a kind is kept which adds nothing; shared among the kinds that are looked at."""
MIN_GROUPS = 12
"""Groups of each class below which nothing can be told."""
Bools = NDArray[np.bool_]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Pictures as a probe sees them: vectors [N, D], labels [N], groups [N]."""

    vectors: Vectors
    labels: Bools
    groups: NDArray[np.int64]
    """Of a variation its parent's."""
    weights: Numbers
    """In (0, 1]."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What a kind of variation adds."""

    count: int
    """Variations of it."""
    balanced: float
    """Mean gain in balanced accuracy over the seeds."""
    low: float
    """What it lies above with all but RISK's chance."""
    roadwork: float
    """Gain in the share of pictures with roadwork that are found."""
    none: float
    """Gain in the share of the others that are left alone."""
    pays: bool


@dataclass(frozen=True)
class Ablation:
    """All kinds beside nothing, and those that pay together."""

    without: float
    """Balanced accuracy of the probe on real pictures alone."""
    seeds: int
    kinds: Mapping[str, Gain]
    together: Gain | None
    """Of the kinds that pay, where there are several."""
    why: str = ""
    """Why nothing could be told, as a clause."""

    @property
    def kept(self) -> tuple[str, ...]:
        """Kinds to learn from: those that pay, unless they do not together."""
        if self.together is not None and not self.together.pays:
            return ()
        return tuple(name for name, gain in self.kinds.items() if gain.pays)


def ablate(real: Part, made: Part, kinds: Sequence[str], *, seeds: int = SEEDS) -> Ablation:
    """Judge the kinds [M] of the variations `made` [M] beside the pictures `real` [N]."""
    if why := too_few(real.labels, real.groups):
        return untold(why)
    trial = _Trial(real, made, seeds)
    names = sorted(set(kinds))
    of_kind = {name: np.array([kind == name for kind in kinds], np.bool_) for name in names}
    gains = {name: trial.gain(chosen, RISK / len(names)) for name, chosen in of_kind.items()}
    paying = [of_kind[name] for name in names if gains[name].pays]
    together = trial.gain(np.logical_or.reduce(paying), RISK) if len(paying) > 1 else None
    return Ablation(float(trial.before.mean()), seeds, gains, together)


class _Trial:
    """Real pictures divided in several ways, and what a probe makes of each without variations."""

    def __init__(self, real: Part, made: Part, seeds: int) -> None:
        self.real, self.made = real, made
        self.divisions = [_division(real, seed) for seed in range(seeds)]
        self.before = self._recalls(np.zeros(len(made.labels), np.bool_))

    def gain(self, chosen: Bools, risk: float) -> Gain:
        """What the chosen variations [M] add."""
        change = self._recalls(chosen) - self.before
        balanced = change.mean(axis=1)
        low = float(balanced.mean()) - _margin(balanced, risk)
        roadwork, none = change.mean(axis=0)
        return Gain(int(chosen.sum()), float(balanced.mean()), low, float(roadwork), float(none), low > 0.0)

    def _recalls(self, chosen: Bools) -> Numbers:
        """[seeds, 2]: shares of right answers with roadwork and without, by probes that learn from the chosen too."""
        return np.array([self._recall(judged, chosen) for judged in self.divisions])

    def _recall(self, judged: Bools, chosen: Bools) -> tuple[float, float]:
        real, made = self.real, self.made
        used = chosen & ~np.isin(made.groups, real.groups[judged])
        vectors = np.concatenate([real.vectors[~judged], made.vectors[used]])
        labels = np.concatenate([real.labels[~judged], made.labels[used]])
        weights = np.concatenate([real.weights[~judged], made.weights[used]])
        truth = real.labels[judged]
        right = (probe(vectors, labels, real.vectors[judged], weights) > 0.5) == truth
        return float(right[truth].mean()), float(right[~truth].mean())


def untold(why: str) -> Ablation:
    """Nothing can be told; `why` is a clause."""
    return Ablation(0.0, 0, {}, None, why)


def too_few(labels: Bools, groups: NDArray[np.int64]) -> str:
    """Why real pictures of these labels and groups [N] can tell nothing, as a clause; empty where they can."""
    for label, called in ((True, "with roadwork"), (False, "without")):
        if len(np.unique(groups[labels == label])) < MIN_GROUPS:
            return f"there are real pictures {called} of fewer than {MIN_GROUPS} groups"
    return ""


def _division(real: Part, seed: int) -> Bools:
    """Which real pictures [N] are judged on: whole groups, about JUDGED_SHARE of each class."""
    rng = np.random.default_rng((41, seed))
    judged = np.zeros(len(real.labels), np.bool_)
    for label in (True, False):
        groups = rng.permutation(np.unique(real.groups[real.labels == label]))
        chosen = groups[: max(1, round(JUDGED_SHARE * len(groups)))]
        judged |= np.isin(real.groups, chosen)
    return judged


def _margin(values: Numbers, risk: float) -> float:
    """One-sided, with the variance that overlapping divisions hide put back."""
    count = len(values)
    inflated = 1.0 / count + JUDGED_SHARE / (1.0 - JUDGED_SHARE)
    return quantile(count - 1, risk) * sqrt(inflated * float(values.var(ddof=1)))


def quantile(freedom: int, risk: float) -> float:
    """Student's t with `freedom` degrees above which lies `risk`, by Cornish and Fisher's expansion (to 2 % from 9)."""
    z = NormalDist().inv_cdf(1.0 - risk)
    terms = ((z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return float(z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms)))
