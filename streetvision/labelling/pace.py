"""How fast questions go out: so many a minute, and none while the server wants a rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

LOOK_S = 0.5
"""Seconds between two looks at whether the operator wants the run to end."""


class Pace:
    """One for all questions of a run. Times are seconds of `clock`."""

    def __init__(
        self,
        per_minute: float,
        stop: Callable[[], bool],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._spacing = 60.0 / per_minute if per_minute > 0 else 0.0
        self._stop, self._clock, self._sleep = stop, clock, sleep
        self._next = self._rest_until = clock()

    async def wait(self) -> bool:
        """Wait for the turn of one question; False when the run is to end first."""
        now = self._clock()
        turn = max(self._next, now)
        self._next = turn + self._spacing
        while not self._stop():
            left = max(turn, self._rest_until) - self._clock()
            if left <= 0:
                return True
            await self._sleep(min(left, LOOK_S))
        return False

    def rest(self, seconds: float) -> None:
        """No question goes out for so long."""
        self._rest_until = max(self._rest_until, self._clock() + seconds)
