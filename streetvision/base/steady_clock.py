"""How time passes for a process whose wall clock may jump: a wrong clock must not decide by itself that things are old.

What deletes, expires or gives up asks for more than the wall clock: it measures with `elapsed` or with a SteadyClock,
or compares with what is known to be newer.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

Clock = Callable[[], float]

SLEW_S = 2.0
"""A difference up to this is a clock that is being corrected gently, and followed at once."""
LASTED_S = 3600.0
"""A step that no time daemon vouches for is followed once it has lasted so long: nothing else may ever set it right."""
_TIMEX_BYTES = 512
"""More than any `struct timex`; all zero asks and sets nothing."""
_TIME_ERROR = 5
"""From `adjtimex(2)`: the clock is not synchronised. The kernel says so after every step, until a daemon objects."""


def elapsed() -> float:
    """Seconds from an arbitrary moment: never set, and unlike `time.monotonic` it goes on while the machine sleeps."""
    return time.clock_gettime(_BOOTTIME)


_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def kernel_synchronised() -> bool | None:
    """Whether a time daemon keeps the kernel's clock; None where the system does not say."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        state = int(libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


class SteadyClock:
    """Call it for Unix seconds that go on evenly: the wall clock at the start, and what has elapsed since.

    A step of the wall clock is followed when the kernel says that a time daemon keeps it, or after LASTED_S. Any thread
    may call. `tell` gets one sentence for every step that is seen or followed.
    """

    def __init__(
        self,
        *,
        wall: Clock = time.time,
        elapsed: Clock = elapsed,
        synchronised: Callable[[], bool | None] = kernel_synchronised,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._wall, self._elapsed, self._synchronised, self._tell = wall, elapsed, synchronised, tell
        self._begin = wall() - elapsed()
        """Unix seconds at which `elapsed` was 0."""
        self._step: tuple[float, float] | None = None
        """Seconds of a step that is not followed yet, and the elapsed time at which it was seen."""

    def __call__(self) -> float:
        """Unix seconds."""
        elapsed = self._elapsed()
        difference = self._wall() - elapsed - self._begin
        if abs(difference) <= SLEW_S:
            self._begin += difference
            self._step = None
        elif self._may_follow(difference, elapsed):
            self._begin += difference
            self._step = None
            self._tell(f"the machine's clock was set by {difference:+.0f} s, and is followed now")
        return self._begin + elapsed

    def _may_follow(self, difference: float, elapsed: float) -> bool:
        if self._synchronised():
            return True
        if self._step is None or abs(difference - self._step[0]) > SLEW_S:
            self._step = (difference, elapsed)
            self._tell(
                f"the machine's clock jumped by {difference:+.0f} s and no time daemon vouches for it: nothing is "
                f"judged by it for {LASTED_S / 60:.0f} min. If it is wrong: sudo timedatectl set-ntp true"
            )
        return elapsed - self._step[1] >= LASTED_S
