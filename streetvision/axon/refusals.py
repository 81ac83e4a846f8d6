"""Requests refused before their callers were proven, by reason: counted for the operator, told in the log sparingly.

Nothing that a stranger sends is kept or written: reasons are words of our own, and an address is the socket's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from loguru import logger

from streetvision.axon.exchange import Clock

REASONS: Mapping[str, str] = {
    "headers_dropped": "validators' headers dropped by a proxy",
    "headers_renamed": "validators' headers renamed by a proxy",
    "missing_header": "a header of the identity missing",
    "no_identity": "neither dendrite nor btauth headers",
    "malformed_header": "a header malformed",
    "wrong_receiver": "meant for another miner",
    "unknown_hotkey": "hotkey not registered",
    "no_permit": "no validator permit",
    "low_stake": "too little stake",
    "bad_signature": "signature does not verify",
    "stale_nonce": "nonce too old",
    "future_nonce": "nonce in the future",
    "replayed_nonce": "nonce used before",
    "quota": "over the quota",
    "nonce_table": "too many nonces",
    "unknown_path": "unknown path",
    "unknown_synapse": "unknown synapse",
    "method": "not a POST",
    "upgrade": "asked to upgrade",
    "encoding": "body encoded",
    "no_length": "no body",
    "malformed": "malformed length",
    "too_large": "body too large",
    "slow_body": "body too slow",
    "body_budget": "too many bodies at once",
    "disconnected": "caller went away",
    "huge_headers": "headers too large",
    "slow_headers": "headers too slow",
    "malformed_http": "not HTTP",
    "tls": "TLS on a plain port",
    "http2": "HTTP/2",
    "proxy_protocol": "PROXY protocol",
    "silent": "connected and silent",
    "pipelining": "pipelined too much",
    "unwanted_body": "sent on after a refusal",
    "evicted": "made room for others",
    "no_metagraph": "metagraph not read yet",
    "starting": "while starting",
    "draining": "while draining",
    "deregistered": "while not registered",
    "internal": "a defect in the miner",
}
"""Every reason and how an operator reads it."""
OTHER = "other"
PROXY_REASONS = frozenset({"headers_dropped", "headers_renamed", "missing_header", "proxy_protocol"})
"""Reasons that a proxy of the operator's own may well be the cause of."""
LINE_S = 600.0
"""At most one line a reason in so many seconds."""
_SLOT_S, _SLOTS = 300, 12


class RefusalCount(NamedTuple):
    """How often one reason held."""

    reason: str
    total: int
    """Since the miner started."""
    recent: int
    """In the last hour."""
    last: float
    """Unix seconds."""


@dataclass(slots=True)
class _Tally:
    total: int = 0
    last: float = 0.0
    slots: dict[int, int] = field(default_factory=dict)
    """Counts by five minutes of monotonic time; the newest `_SLOTS` of them."""
    untold: int = 0
    next_line: float = float("-inf")

    def add(self, now: float, wall: float) -> None:
        slot = int(now // _SLOT_S)
        self.total, self.last, self.untold = self.total + 1, wall, self.untold + 1
        self.slots[slot] = self.slots.get(slot, 0) + 1
        while len(self.slots) > _SLOTS:
            del self.slots[next(iter(self.slots))]

    def recent(self, now: float) -> int:
        first = int(now // _SLOT_S) - _SLOTS
        return sum(count for slot, count in self.slots.items() if slot > first)


class Refusals:
    """Bounded by the number of reasons; a microsecond a refusal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tallies: dict[str, _Tally] = {}

    def note(self, reason: str, remote: str, *, status: int | None = None, told: bool = False) -> None:
        """Count one. `status` None: closed without an answer; `told`: the request has a line of its own already."""
        known = reason if reason in REASONS else OTHER
        tally = self._tallies.setdefault(known, _Tally())
        now = self._clock.monotonic()
        tally.add(now, self._clock.wall_ns() / 1e9)
        if not told and now >= tally.next_line:
            tally.next_line = now + LINE_S
            _tell(known, status, tally.untold, remote)
            tally.untold = 0

    def counts(self) -> tuple[RefusalCount, ...]:
        """By reason, the most frequent of the last hour first."""
        now = self._clock.monotonic()
        found = [RefusalCount(name, t.total, t.recent(now), t.last) for name, t in self._tallies.items()]
        return tuple(sorted(found, key=lambda count: (-count.recent, -count.total, count.reason)))


def _tell(reason: str, status: int | None, times: int, remote: str) -> None:
    level = "WARNING" if reason in PROXY_REASONS else "INFO"
    what = "closed a connection" if status is None else f"refused with {status}"
    often = "" if times == 1 else f", {times} times since this was last said"
    words = REASONS.get(reason, "no reason that is known")
    logger.log(level, "axon: {} before the caller was proven: {} ({}){}, from {}", what, reason, words, often, remote)
