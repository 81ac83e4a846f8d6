"""The running miner's snapshot: gathered on its loop, summed up in a thread, and kept for a moment.

However many windows watch, a snapshot of one span is made at most once a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from streetvision.control.server import Handler, Progress
from streetvision.errors import OperatorError
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule_pass import RulePass
from streetvision.status.samples import Kept, Samples, expanded
from streetvision.status.schema import OPERATION, Span, Status
from streetvision.status.snapshot import Facts, status_of

if TYPE_CHECKING:
    from streetvision.monitor.monitor import Monitor

FRESH_S = 1.0
"""A snapshot serves again for so long."""
MOST_DAYS = 3650.0
MOST_INTERVALS = 1000
_KEPT = 4
"""Spans of which the last snapshot is kept."""


class LiveStatus:
    """`samples` hear of the requests; `facts` is asked on the loop and answers at once."""

    def __init__(
        self,
        monitor: Monitor,
        facts: Callable[[], Facts],
        samples: Samples,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monitor, self._facts, self._samples, self._clock = monitor, facts, samples, clock
        self._made: dict[Span, tuple[float, Status]] = {}
        self._making = asyncio.Lock()

    async def snapshot(self, span: Span = Span()) -> Status:  # noqa: B008 - immutable
        """Everything as of now, or of a second ago."""
        async with self._making:
            made = self._made.get(span)
            if made is None or self._clock() - made[0] >= FRESH_S:
                made = self._made[span] = (self._clock(), await self._make(span))
                while len(self._made) > _KEPT:
                    del self._made[next(iter(self._made))]
            return made[1]

    async def _make(self, span: Span) -> Status:
        passed = await self._monitor.newest()
        seen = await self._monitor.observe_aside()
        facts, samples = self._facts(), self._samples.kept()
        return await asyncio.to_thread(_summed, facts, seen, passed, samples, span)

    def operations(self) -> dict[str, Handler]:
        """Operations that `streetvision status` asks for through the control socket."""

        async def snapshot(arguments: Mapping[str, Any], _progress: Progress) -> Mapping[str, Any]:
            return dict(await self.snapshot(span_of(arguments)))

        return {OPERATION: snapshot}


def _summed(facts: Facts, seen: Observation, passed: RulePass, samples: Kept, span: Span) -> Status:
    return status_of(facts, seen, passed, expanded(samples), span)


_LIMITS = {"days": (0.01, MOST_DAYS), "intervals": (1, MOST_INTERVALS), "counted_days": (0.01, MOST_DAYS)}


def span_of(arguments: Mapping[str, Any]) -> Span:
    """The span that a client asks for; OperatorError for what is no span."""
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        if name not in _LIMITS:
            raise OperatorError(f"`{name}` is no argument of this operation; known are {', '.join(_LIMITS)}")
        low, high = _LIMITS[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and isfinite(value) and low <= value <= high):
            raise OperatorError(f"`{name}` must be a number from {low:g} to {high:g}")
        found[name] = int(value) if name == "intervals" else float(value)
    return Span(**found)
