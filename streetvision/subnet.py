"""The subnet this miner serves, declared once: netuids, synapse and reward rule. A sister subnet edits this file.

Sources: the subnet's public protocol (synapse and timeout) and validator (reward); see docs/architecture.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import sqrt


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


SUBNET = SubnetSpec()


def matthews(truth: Iterable[bool], predicted: Iterable[bool]) -> float:
    """Matthews correlation coefficient in [-1, 1]; 0 when it is undefined (only one class seen)."""
    pairs = list(zip(truth, predicted, strict=True))
    tp = sum(t and p for t, p in pairs)
    tn = sum(not t and not p for t, p in pairs)
    fp = sum(not t and p for t, p in pairs)
    fn = sum(t and not p for t, p in pairs)
    denominator = sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / denominator if denominator else 0.0


@dataclass
class RewardTracker:
    """The subnet's reward for one miner: (0.5 * MCC over 100 + 0.5 * accuracy over 10) ** 3, in [0, 1].

    A missing or invalid answer scores 0 for that challenge and enters neither window, as the validators do it.
    """

    mcc_window: int = 100
    accuracy_window: int = 10
    _history: deque[tuple[bool, bool]] = field(init=False)

    def __post_init__(self) -> None:
        self._history = deque(maxlen=max(self.mcc_window, self.accuracy_window))

    def score(self, truth: bool, answer: float | None) -> float:
        """Record one challenge and return its reward in [0, 1]; `answer` is None for silence or an error."""
        if answer is None or not 0.0 <= answer <= 1.0:
            return 0.0
        self._history.append((truth, answer > SUBNET.threshold))
        return self.reward

    @property
    def reward(self) -> float:
        """The reward that the windows imply now, in [0, 1]."""
        long = list(self._history)[-self.mcc_window :]
        if not long:
            return 0.0
        mcc = max(0.0, matthews((t for t, _ in long), (p for _, p in long)))
        return float((0.5 * mcc + 0.5 * self.accuracy) ** 3)

    @property
    def accuracy(self) -> float:
        """Share of right answers in the short window, in [0, 1]; 0 before the first."""
        short = list(self._history)[-self.accuracy_window :]
        return sum(t == p for t, p in short) / len(short) if short else 0.0
