"""Replays: a set of nonces seen, bounded in memory, that only verified callers can write to."""

from __future__ import annotations


class SeenNonces:
    """Remembers each (hotkey, nonce) for at least `retention_s`, in two generations that are swapped and dropped whole.

    Nothing that may still be replayed is ever forgotten to make room: a full table refuses instead. Callers that are
    not registered may fill only half of it, so that strangers cannot shut validators out.
    """

    def __init__(self, retention_s: float, per_hotkey: int, total: int) -> None:
        self._retention_s, self._per_hotkey, self._total = retention_s, per_hotkey, total
        self._young: dict[str, set[int]] = {}
        self._old: dict[str, set[int]] = {}
        self._young_count = self._old_count = 0
        self._turn_at = float("-inf")

    def __len__(self) -> int:
        return self._young_count + self._old_count

    def seen(self, hotkey: str, nonce: int, now: float) -> bool:
        """Whether this nonce was stored within the retention; `now` is monotonic seconds."""
        self._turn(now)
        return nonce in self._young.get(hotkey, ()) or nonce in self._old.get(hotkey, ())

    def store(self, hotkey: str, nonce: int, now: float, *, registered: bool) -> bool:
        """Remember a verified nonce; False when the table has no room left for this hotkey."""
        self._turn(now)
        mine = self._young.get(hotkey)
        held = len(mine or ()) + len(self._old.get(hotkey, ()))
        if held >= self._per_hotkey or len(self) >= (self._total if registered else self._total // 2):
            return False
        if mine is None:
            mine = self._young[hotkey] = set()
        mine.add(nonce)
        self._young_count += 1
        return True

    def _turn(self, now: float) -> None:
        if now < self._turn_at:
            return
        stale = now >= self._turn_at + self._retention_s
        self._old, self._old_count = ({}, 0) if stale else (self._young, self._young_count)
        self._young, self._young_count = {}, 0
        self._turn_at = now + self._retention_s
