"""What the validator asked and got, by the part of the rehearsal in which it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from streetvision.rollout.stats import quantile
from streetvision.subnet import SUBNET


@dataclass(frozen=True, slots=True)
class Heard:
    """One challenge, as far as it is counted."""

    part: str
    right: bool
    answered: bool
    ms: float
    reward: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Of the challenges of one part."""

    challenges: int
    answered: int
    accuracy: float | None
    """Of those that were answered."""
    reward: float | None
    """Mean of what the validators gave; their windows reach back into the part before."""
    p50_ms: float | None
    p99_ms: float | None


class Stream:
    """Hears the validator's events; `part` is set by whoever conducts."""

    def __init__(self) -> None:
        self.part = ""
        self._heard: list[Heard] = []

    def hear(self, event: Mapping[str, Any]) -> None:
        """One event of the validator."""
        if event.get("event") != "challenge":
            return
        answer = event["answer"]
        right = answer is not None and (answer > SUBNET.threshold) == event["roadwork"]
        self._heard.append(Heard(self.part, right, answer is not None, event["ms"], event["reward"]))

    def count(self, part: str) -> int:
        """How many challenges there were in it."""
        return len(self._of((part,)))

    def summary(self, *parts: str) -> Summary:
        """All challenges of these parts."""
        some = self._of(parts)
        answered = [one for one in some if one.answered]
        times = sorted(one.ms for one in answered)
        return Summary(
            challenges=len(some),
            answered=len(answered),
            accuracy=fmean(one.right for one in answered) if answered else None,
            reward=fmean(one.reward for one in some) if some else None,
            p50_ms=quantile(times, 0.5),
            p99_ms=quantile(times, 0.99),
        )

    def _of(self, parts: tuple[str, ...]) -> list[Heard]:
        return [one for one in list(self._heard) if one.part in parts]
