"""When a frame is shown, in seconds from the video's beginning, whatever its timestamps do. Pure.

Files with variable frame rates are usual; missing timestamps (raw streams), and ones that jump back (recordings joined
together), occur. Times handed out only ever grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

JUMP_BACK = 5.0
"""Seconds; a smaller step back is a frame out of order, which is left out."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a reading came."""

    time: float
    """Of its last frame."""
    searchable: bool
    """Whether times are the file's own, so that reading may start anywhere."""


@dataclass(slots=True)
class FrameClock:
    """Times of one video's frames, in the order in which they are decoded."""

    start: float = 0.0
    """The file's own time of its first frame, in seconds."""
    spacing: float = 0.04
    """Seconds between frames that carry no time."""
    last: float = 0.0
    """Time of the newest frame."""
    _shift: float = 0.0
    _begun: bool = False
    _mended: bool = False

    @property
    def position(self) -> Position:
        """How far it is."""
        return Position(self.last, not self._mended)

    @property
    def begun(self) -> bool:
        """Whether a frame was seen."""
        return self._begun

    def restart(self) -> None:
        """Take the next frame's time as it is: reading has jumped there."""
        self.last, self._shift, self._begun, self._mended = 0.0, 0.0, False, False

    def time_of(self, pts: int | None, base: Fraction | None) -> float | None:
        """Seconds of a frame; None for one that stands before its predecessor."""
        if pts is None or base is None:
            self._mended = True
            time = self.last + self.spacing if self._begun else 0.0
        else:
            time = float(pts * base) - self.start + self._shift
        if self._begun and time < self.last - JUMP_BACK:
            self._shift += self.last + self.spacing - time
            self._mended, time = True, self.last + self.spacing
        if self._begun and time <= self.last:
            return None
        self.last, self._begun = max(0.0, time), True
        return self.last


def hms(seconds: float) -> str:
    """`0:03`, `12:45`, `1:02:03`, as players show times."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def exact(seconds: float) -> str:
    """`0:03.4`, for the ends of a segment."""
    tenths = round(seconds * 10)
    return f"{hms(tenths // 10)}.{tenths % 10}"
