"""How long the parts of a training step take, without making the host wait for the device."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Protocol

import torch


class Moment(Protocol):
    """A point in the device's work."""

    def elapsed_time(self, later: Any, /) -> float:  # noqa: ANN401  # a moment of the same sort
        """Milliseconds from here to there; both must have passed."""


class HostMoment:
    """The same where operations return when they are done."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.at = clock()

    def elapsed_time(self, later: HostMoment) -> float:
        """Milliseconds from here to there."""
        return 1000.0 * (later.at - self.at)


class StepTimes:
    """Milliseconds a step by part since the last report; `now` makes moments, CUDA events on a GPU."""

    def __init__(self, device: torch.device, now: Callable[[], Moment] | None = None) -> None:
        self._device = device
        self._now: Callable[[], Moment] = now or (_recorded if device.type == "cuda" else HostMoment)
        self._moments: list[tuple[str, Moment]] = []

    def end(self, part: str) -> None:
        """A part ends here, and what comes next begins."""
        self._moments.append((part, self._now()))

    def report(self, steps: int) -> str:
        """Waits for the device; the parts in their order, each as its mean of so many steps, and begins anew."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        spent: dict[str, float] = {}
        for (_, earlier), (part, later) in pairwise(self._moments):
            spent[part] = spent.get(part, 0.0) + earlier.elapsed_time(later)
        self._moments = self._moments[-1:]
        return ", ".join(f"{part} {total / steps:.1f}" for part, total in spent.items())


def _recorded() -> Moment:
    event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    made: Moment = event
    return made
