"""Two models on the same pictures: which is better, said only where both tests of the difference agree.

Intervals come from resampled groups, in which both models see the same pictures. McNemar's exact test counts the
pictures that only one of them got right (Q. McNemar, Psychometrika 12, 1947), as if pictures were independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, lgamma, log
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streetvision.evaluation.figures import (
    DRAWS,
    MIN_GROUPS,
    Estimate,
    Sample,
    estimate,
    has_intervals,
    resampled_figures,
    weighted_figures,
)
from streetvision.evaluation.reward import Assumptions, mean_rewards

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "undecided"]
COMPARED = ("accuracy", "mcc", "auc", "reward")
DIRECTIONS: Mapping[Verdict, float] = {"better": 1.0, "worse": -1.0}
"""On which side of zero the differences lie."""
DECISIVE = ("accuracy", "mcc")
"""Whose intervals must both leave zero out; MCC only where both classes are there."""
SIGNIFICANT = 0.05
"""p-value of McNemar's test below which a difference is no luck."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model against another one."""

    verdict: Verdict
    why: str
    """One sentence."""
    count: int
    """Pictures that both answered."""
    differences: Mapping[str, Estimate]
    """Of each of COMPARED, the model's figure less the other's."""
    only_first: int
    """Pictures that only the model got right."""
    only_second: int
    """Pictures that only the other one got right."""
    p_value: float
    """Of McNemar's exact test, two-sided."""


def compare(
    first: Sample, second: Sample, assumed: Assumptions | None = None, *, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """Compare answers to the same pictures in the same order; raises ValueError where they are not the same."""
    if len(first) != len(second) or (first.labels != second.labels).any() or (first.groups != second.groups).any():
        raise ValueError("both models must have answered the same pictures")
    right, other = first.said == first.labels, second.said == second.labels
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    p_value = mcnemar(only_first, only_second)
    found = differences(first, second, assumed or Assumptions(), draws=draws, seed=seed)
    verdict, why = _verdict(found, p_value, enough=has_intervals(first))
    return Comparison(verdict, why, len(first), found, only_first, only_second, p_value)


def differences(
    first: Sample, second: Sample, assumed: Assumptions, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Estimate]:
    """The first model's figures less the second's, with intervals where there are groups enough."""
    ones = np.ones((1, len(first)))
    values = [_with_reward(weighted_figures(sample, ones), assumed, seed, repeat=draws) for sample in (first, second)]
    drawn = [
        _with_reward(resampled_figures(sample, draws=draws, seed=seed), assumed, seed)
        for sample in ((first, second) if has_intervals(first) else ())
    ]
    return {
        name: estimate(
            float(values[0][name][0] - values[1][name][0]),
            drawn[0][name] - drawn[1][name] if drawn else None,
            first.group_count,
        )
        for name in COMPARED
    }


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value: how likely so uneven a split of the disagreements is when neither model is better."""
    count, fewer = only_first + only_second, min(only_first, only_second)
    logs = (lgamma(count + 1) - lgamma(k + 1) - lgamma(count - k + 1) - count * log(2.0) for k in range(fewer + 1))
    return min(1.0, 2.0 * sum(exp(value) for value in logs))


def _with_reward(found: dict[str, Floats], assumed: Assumptions, seed: int, *, repeat: int = 1) -> dict[str, Floats]:
    """With the mean reward of each row; `repeat` averages over so many draws of challenges."""
    recall, false_alarms = (np.repeat(found[name], repeat) for name in ("recall", "false_alarms"))
    reward = mean_rewards(recall, false_alarms, assumed, seed=seed)
    return {**found, "reward": reward.reshape(-1, repeat).mean(axis=1)}


def _verdict(found: Mapping[str, Estimate], p_value: float, *, enough: bool) -> tuple[Verdict, str]:
    if not enough:
        return "undecided", f"there are fewer than {MIN_GROUPS} groups of pictures, so nobody can tell luck from skill"
    told = [found[name] for name in DECISIVE if found[name].value is not None]
    for verdict, sign in DIRECTIONS.items():
        if told and all(_beyond_zero(one, sign) for one in told) and p_value < SIGNIFICANT:
            return verdict, "the intervals leave zero out, and McNemar's test agrees"
    if p_value >= SIGNIFICANT:
        return "undecided", "so few pictures tell the models apart that it may be luck"
    return "undecided", "the difference depends on which groups are looked at"


def _beyond_zero(one: Estimate, sign: float) -> bool:
    """Whether the whole interval lies on that side of zero."""
    return one.low is not None and one.high is not None and min(sign * one.low, sign * one.high) > 0.0
