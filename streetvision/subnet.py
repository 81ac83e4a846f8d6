"""The subnet this miner serves, declared once: netuids, synapse and reward rule. A sister subnet edits this file.

Sources: the subnet's public protocol (synapse and timeout) and validator (reward); see docs/architecture.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Number = TypeVar("Number", float, "NDArray[np.float64]")
"""One number, or an array of them: the rule is written once for both."""


@dataclass(frozen=True)
class SubnetSpec:
    """What differs from one image-scoring subnet to the next."""

    name: str = "NATIX StreetVision"
    netuid: int = 72
    test_netuid: int = 323
    synapse: str = "ImageSynapse"
    image_field: str = "image"
    """Base64 of an encoded image (JPEG, PNG or WebP)."""
    answer_field: str = "prediction"
    """Probability in [0, 1] that the positive class is in view."""
    unanswered: float = -1.0
    """What the answer field holds when no miner filled it."""
    timeout_s: float = 9.0
    """The validators' total timeout, connection and upload included."""
    threshold: float = 0.5
    """Above this the validator reads the answer as positive."""
    model_full_pay_days: float = 45.0
    """Age up to which a submitted model is announced to be paid in full."""
    model_max_age_days: float = 90.0
    """Age from which it is announced to be paid nothing; the subnet's pages name both figures."""


SUBNET = SubnetSpec()


def correlation(tp: Number, tn: Number, fp: Number, fn: Number) -> Number:
    """Matthews correlation coefficient in [-1, 1] of counts; 0 where it is undefined (one class in either, or none)."""
    spread = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    coefficient: Number = (tp * tn - fp * fn) / (spread + (spread == 0))  # where the spread is 0, so is the dividend
    return coefficient


def window_reward(mcc: Number, right: Number, answered: Number) -> Number:
    """The reward in [0, 1] of an answer: (0.5 * MCC + 0.5 * accuracy) ** 3; an MCC below 0 counts as 0.

    `mcc` is of what was answered among the last 100 challenges, `right` of `answered` among the last 10.
    """
    reward: Number = (0.5 * mcc * (mcc > 0) + 0.5 * right / (answered + (answered == 0))) ** 3
    return reward


def matthews(truth: Iterable[bool], predicted: Iterable[bool]) -> float:
    """The correlation of truth with what was said."""
    counts = dict.fromkeys(((True, True), (False, False), (False, True), (True, False)), 0.0)
    for pair in zip(truth, predicted, strict=True):
        counts[pair] += 1.0
    return correlation(*counts.values())


def accuracy(truth: Iterable[bool], predicted: Iterable[bool]) -> float:
    """Share of right answers in [0, 1]; 0 without any."""
    right = [t == p for t, p in zip(truth, predicted, strict=True)]
    return sum(right) / len(right) if right else 0.0


def reads_as(answer: float | None) -> bool | None:
    """How a validator reads an answer: above the threshold or not; None for silence.

    Anything but a number in [0, 1] is read as silence. Validators treat NaN and numbers out of range worse than that,
    but the miner answers with an error instead of sending one.
    """
    return None if answer is None or not 0.0 <= answer <= 1.0 else answer > SUBNET.threshold


@dataclass
class RewardTracker:
    """The subnet's reward for one miner: (0.5 * MCC over 100 + 0.5 * accuracy over 10) ** 3, in [0, 1].

    Both windows hold challenges, not answers: a silence takes a place in each and is left out of the figures after the
    windows are cut, as the validators do it.
    """

    mcc_window: int = 100
    accuracy_window: int = 10
    _history: deque[tuple[bool, bool | None]] = field(init=False)

    def __post_init__(self) -> None:
        self._history = deque(maxlen=max(self.mcc_window, self.accuracy_window))

    def score(self, truth: bool, answer: float | None) -> float:
        """Record one challenge and return its reward in [0, 1]; silence (None, an error, -1) is rewarded with 0."""
        said = reads_as(answer)
        self._history.append((truth, said))
        return 0.0 if said is None else self.reward

    @property
    def reward(self) -> float:
        """The reward that the windows give to an answer, in [0, 1]; an MCC below 0 counts as 0."""
        truth, said = self._answers(self.accuracy_window)
        right = float(sum(t == s for t, s in zip(truth, said, strict=True)))
        return window_reward(matthews(*self._answers(self.mcc_window)), right, float(len(truth)))

    @property
    def accuracy(self) -> float:
        """Share of right answers in the short window, in [0, 1]; 0 when it holds none."""
        return accuracy(*self._answers(self.accuracy_window))

    def _answers(self, window: int) -> tuple[list[bool], list[bool]]:
        """Truth and reading of what was answered among the last `window` challenges."""
        first = max(0, len(self._history) - window)
        answered = [(truth, said) for truth, said in islice(self._history, first, None) if said is not None]
        return [truth for truth, _ in answered], [said for _, said in answered]


LEAD_DAYS = 10.0
"""Before the reward decays a successor is wanted: enough to train and submit one."""


class AgeStage(IntEnum):
    """Where a model stands in its pay window; comparable."""

    FRESH = 0
    ENDING = 1
    """Paid in full, though not for much longer."""
    DECAYING = 2
    OVER = 3


@dataclass(frozen=True, slots=True)
class PayWindow:
    """For how long a model is paid; days since its submission."""

    full_days: float = SUBNET.model_full_pay_days
    max_days: float = SUBNET.model_max_age_days

    @property
    def ending_days(self) -> float:
        """Age at which to think of a successor: ten days before the end of full pay, less in a short window."""
        return self.full_days - min(LEAD_DAYS, self.full_days / 4)

    def stage(self, days: float) -> AgeStage:
        """Of a model of this age."""
        ages = (self.ending_days, self.full_days, self.max_days)
        return AgeStage(sum(days >= age for age in ages))

    def words(self, days: float) -> str | None:
        """What an operator should know of a model of this age, as a clause; None while it is fresh."""
        stage = self.stage(days)
        if stage is AgeStage.FRESH:
            return None
        if stage is AgeStage.ENDING:
            return f"{self.full_days - days:.0f} days before its reward decays"
        if stage is AgeStage.DECAYING:
            return f"past the {self.full_days:g} days that the subnet announces to pay in full"
        return f"past the {self.max_days:g} days for which the subnet announces to pay"


PAY_WINDOW = PayWindow()
"""As the subnet announces it."""
