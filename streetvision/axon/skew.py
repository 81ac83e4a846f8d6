"""How far each validator's clock is from ours, learned from requests whose signature verified."""

from __future__ import annotations

from collections import OrderedDict, deque


class SkewTable:
    """The least (arrival - nonce) of a caller's last requests is its clock's offset; anything on top is transit.

    The least of a few tens is close to the truth because delays only ever add, and it follows a clock that is set right
    after as many requests. Offsets are clamped, the table is bounded: the least recently heard is forgotten first.
    """

    def __init__(self, max_skew_s: float, samples: int = 32, callers: int = 1024) -> None:
        self._max_skew_s, self._samples, self._callers = max_skew_s, samples, callers
        self._offsets: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._offsets)

    def offset(self, hotkey: str) -> float | None:
        """Seconds to subtract from (arrival - nonce) to get a request's age; None before the first request."""
        offsets = self._offsets.get(hotkey)
        return None if offsets is None else self._clamp(min(offsets))

    def observe(self, hotkey: str, offset_s: float) -> float:
        """Learn from a verified request; returns its age in seconds, at least 0 (0 for the first of a caller)."""
        offsets = self._offsets.get(hotkey)
        if offsets is None:
            offsets = self._offsets[hotkey] = deque(maxlen=self._samples)
        offsets.append(offset_s)
        self._offsets.move_to_end(hotkey)
        if len(self._offsets) > self._callers:
            self._offsets.popitem(last=False)
        return max(0.0, offset_s - self._clamp(min(offsets)))

    def _clamp(self, offset_s: float) -> float:
        return max(-self._max_skew_s, min(self._max_skew_s, offset_s))
