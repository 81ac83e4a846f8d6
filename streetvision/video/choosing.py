"""Which frames of a video are worth an answer: by time, by change, and not the same picture twice. Pure.

On a grid of `per_second` the first frame at or after each point is due. One that hardly differs from the last that was
kept (a car at a red light) is passed over, up to `longest_still` seconds. Between the points a frame that differs
strongly from the look before (a cut) is kept at once. Differences are means over a grey thumbnail [32, 32].
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streetvision.video.groups import grid_point

Luma = NDArray[np.uint8]
"""A grey thumbnail [32, 32]."""
LUMA_SIDE = 32
Choice = Literal["time", "change", "same", ""]
"""Kept because it was due or because the scene changed; passed over because it is the same, or because of its time."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How densely a video is looked at."""

    per_second: float = 2.0
    looks_per_second: float = 8.0
    """How often a change is looked for; at least `per_second`."""
    change: float = 30.0
    """Mean difference in levels of 255 from which a picture is of another scene."""
    same: float = 1.5
    """Mean difference below which it is the same picture."""
    longest_still: float = 10.0
    """Seconds after which a still picture is kept again."""


SAMPLING = Sampling()


@dataclass(slots=True)
class FrameChooser:
    """Sees a video's frames in the order of their times; all that it knows can be kept, as JSON."""

    sampling: Sampling = SAMPLING
    last_look: float = -inf
    last_due: float = -inf
    last_kept: float = -inf
    looked: Luma | None = field(default=None, repr=False)
    kept: Luma | None = field(default=None, repr=False)

    def wants(self, time: float) -> bool:
        """Whether a frame at this time has to be looked at at all."""
        return self._is_new(time, self.last_look, self.sampling.looks_per_second) or self._is_due(time)

    def choose(self, time: float, luma: Luma) -> Choice:
        """What to do with a frame that `wants` asked for."""
        cut = self.looked is not None and difference(luma, self.looked) >= self.sampling.change
        due = self._is_due(time)
        self.last_look, self.looked = time, luma
        if due:
            self.last_due = time
        if not (due or cut):
            return ""
        if not cut and self._is_same(time, luma):
            return "same"
        self.last_kept, self.kept = time, luma
        return "change" if cut else "time"

    def state(self) -> dict[str, Any]:
        """For `from_state`."""
        times = {name: getattr(self, name) for name in _TIMES}
        finite = {name: None if time == -inf else time for name, time in times.items()}
        return {**finite, **{name: _text(getattr(self, name)) for name in _LUMAS}}

    @classmethod
    def from_state(cls, sampling: Sampling, state: Mapping[str, Any] | None) -> FrameChooser:
        """As it was; a new one where there is no state."""
        if state is None:
            return cls(sampling)
        look, due, kept = (_time(state[name]) for name in _TIMES)
        return cls(sampling, look, due, kept, *(_luma(state[name]) for name in _LUMAS))

    def _is_due(self, time: float) -> bool:
        return self._is_new(time, self.last_due, self.sampling.per_second)

    def _is_new(self, time: float, before: float, per_second: float) -> bool:
        """Whether a point of the grid lies in (before, time]."""
        return before == -inf or grid_point(time, per_second) > grid_point(before, per_second)

    def _is_same(self, time: float, luma: Luma) -> bool:
        if self.kept is None or time - self.last_kept >= self.sampling.longest_still:
            return False
        return difference(luma, self.kept) < self.sampling.same


_TIMES = ("last_look", "last_due", "last_kept")
_LUMAS = ("looked", "kept")


def _text(luma: Luma | None) -> str | None:
    return None if luma is None else base64.b64encode(luma.tobytes()).decode()


def _time(value: float | None) -> float:
    return -inf if value is None else float(value)


def _luma(text: str | None) -> Luma | None:
    if text is None:
        return None
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(LUMA_SIDE, LUMA_SIDE)


def difference(one: Luma, other: Luma) -> float:
    """Mean absolute difference in levels."""
    return float(np.abs(one.astype(np.int16) - other).mean())
