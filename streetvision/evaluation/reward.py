"""The subnet's reward that a classifier may expect: the validators' windows simulated over many draws of challenges.

A validator asks one challenge after another. Each reward looks back over the last 100 and the last 10 challenges, out
of which silences are dropped after the windows are cut (streetvision/subnet.py holds the rule itself). Challenges are
drawn with replacement, so that of a classifier only its recall and its rate of false alarms matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streetvision.subnet import RewardTracker, correlation, window_reward

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MCC_WINDOW, ACCURACY_WINDOW = RewardTracker.mcc_window, RewardTracker.accuracy_window
_BLOCK = 100
"""Draws that are simulated at once."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """How validators ask and how the miner does beside its model. Silences strike challenges at random."""

    positive_share: float = 0.5
    """Of the challenges that show roadwork."""
    silent: float = 0.0
    """Share of the challenges that get an error or no answer."""
    late: float = 0.0
    """Share of the other answers that come after the validators' timeout."""
    challenges: int = 1000
    """In one draw, after the windows have filled."""

    @property
    def unanswered(self) -> float:
        """Share of the challenges that count as silence."""
        return 1.0 - (1.0 - self.silent) * (1.0 - self.late)


def rewards(truth: Bools, said: Bools, answered: Bools) -> Floats:
    """The reward of each challenge [..., T], the first one asked of a new miner; 0 for a silence."""
    kinds = (truth & said, ~truth & ~said, ~truth & said, truth & ~said)
    tp, tn, fp, fn = (_windowed(kind & answered, MCC_WINDOW) for kind in kinds)
    right, count = (_windowed(kind & answered, ACCURACY_WINDOW) for kind in (truth == said, np.ones_like(truth)))
    return window_reward(correlation(tp, tn, fp, fn), right, count) * answered


def mean_rewards(recall: Floats, false_alarms: Floats, assumed: Assumptions, *, seed: int = 0) -> Floats:
    """Mean reward over the challenges of one draw, for each classifier of rates [D]; NaN where a rate is NaN.

    The same seed asks classifiers the same challenges, so that differences between them are not luck.
    """
    blocks = [
        _mean_of_block(recall[start : start + _BLOCK], false_alarms[start : start + _BLOCK], assumed, (seed, start))
        for start in range(0, len(recall), _BLOCK)
    ]
    return np.concatenate(blocks or [np.zeros(0)])


def _mean_of_block(recall: Floats, false_alarms: Floats, assumed: Assumptions, seed: tuple[int, int]) -> Floats:
    rng = np.random.default_rng((37, *seed))
    shape = (len(recall), MCC_WINDOW + assumed.challenges)
    truth, luck = rng.random(shape) < assumed.positive_share, rng.random(shape)
    answered = rng.random(shape) >= assumed.unanswered
    said = luck < np.where(truth, recall[:, None], false_alarms[:, None])
    mean: Floats = rewards(truth, said, answered)[:, MCC_WINDOW:].mean(axis=1)
    return np.where(np.isnan(recall) | np.isnan(false_alarms), np.nan, mean)


def _windowed(events: Bools, window: int) -> Floats:
    """How many of the last `window` are true, at each place [..., T]."""
    total = np.cumsum(events, axis=-1, dtype=np.int32)
    total[..., window:] -= total[..., :-window].copy()
    return total.astype(np.float64)
