"""How busy the event loop's thread is, so that the writer can give way to serving."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Clock = Callable[[], float]


class ThreadLoad:
    """The share of one core that a thread used since it was last asked. `cpu` and `wall` are seconds."""

    def __init__(self, cpu: Clock, wall: Clock = time.monotonic) -> None:
        self._cpu, self._wall = cpu, wall
        self._last = cpu(), wall()

    def __call__(self) -> float:
        """0 to 1; 0 when no time has passed."""
        cpu, wall = self._cpu(), self._wall()
        (cpu_before, wall_before), self._last = self._last, (cpu, wall)
        return (cpu - cpu_before) / (wall - wall_before) if wall > wall_before else 0.0


def calling_thread_cpu() -> Clock:
    """The CPU time of the thread that calls this, readable from any other; always 0 where there is no such clock."""
    clock_of = getattr(time, "pthread_getcpuclockid", None)
    if clock_of is None:
        return lambda: 0.0
    clock = clock_of(threading.get_ident())
    return lambda: time.clock_gettime(clock)
