"""Who may ask, how much and how old: rules without I/O, on injected clocks and an injected signature check.

In two steps, so that the body of a stranger is never read: `screen` on the headers alone (known, permitted, fresh, not
a replay) and `prove` once the signed bytes are there (signature, then what only a proven caller may touch: nonce table,
quota, learned skew).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from streetvision.axon.config import AxonConfig
from streetvision.axon.quota import Quota
from streetvision.axon.signatures import Verifier
from streetvision.axon.wire import Call, Dialect, Refused
from streetvision.chain.metagraph import MetagraphSnapshot


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


BTAUTH_MAX_AGE_S = 10.0
BTAUTH_ALLOWED_SKEW_S = 2.0
"""The freshness window of the btauth/1 specification."""


class Gate(Protocol):
    """Whether this miner serves at all right now."""

    @property
    def closed(self) -> str | None:
        """Why not ('starting', 'draining', 'deregistered'), or None when open."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller that may ask if it is who it claims to be."""

    hotkey: str
    uid: int | None
    stake: float

    @property
    def registered(self) -> bool:
        """Whether the subnet knows this hotkey."""
        return self.uid is not None


class Admission:
    """The rules, and the three bounded tables they need."""

    def __init__(
        self, config: AxonConfig, metagraph: Callable[[], MetagraphSnapshot | None], gate: Gate, verifier: Verifier
    ) -> None:
        self._config, self._metagraph, self._gate, self._verify = config, metagraph, gate, verifier
        self._window_s = config.nonce_window_s + config.max_skew_s
        self.nonces = SeenNonces(2 * self._window_s, config.nonces_per_hotkey, config.nonces_total)
        self.skew = SkewTable(config.max_skew_s)
        self.quota = Quota(config.quota_per_minute, config.quota_burst)

    def check_gate(self) -> None:
        """Raise 503 while this miner does not serve."""
        if (reason := self._gate.closed) is not None:
            raise Refused(503, reason, f"This miner is not serving: {reason}.")

    def screen(self, call: Call, wall_ns: int, now: float) -> Caller:
        """Everything that headers alone decide; raises Refused. `wall_ns` is Unix time, `now` monotonic seconds."""
        caller = self._identify(call.hotkey)
        self._check_fresh(call, (wall_ns - call.nonce) / 1e9)
        if self.nonces.seen(call.hotkey, _nonce_key(call), now):
            raise Refused(401, "replayed_nonce", "This nonce was used before.")
        return caller

    def prove(self, call: Call, caller: Caller, message: bytes, wall_ns: int, now: float) -> float:
        """Check the signature over `message`, then nonce and quota; the request's age in seconds, or raises Refused."""
        if not self._verify(message, call.signature, call.hotkey, call.scheme):
            raise Refused(401, "bad_signature", "The signature does not verify.")
        nonce = _nonce_key(call)
        if self.nonces.seen(call.hotkey, nonce, now):
            raise Refused(401, "replayed_nonce", "This nonce was used before.")
        age = self.skew.observe(call.hotkey, (wall_ns - call.nonce) / 1e9)
        if not self.quota.take(call.hotkey, now):
            raise Refused(429, "quota", "Too many requests: slow down.")
        if not self.nonces.store(call.hotkey, nonce, now, registered=caller.registered):
            raise Refused(429, "nonce_table", "Too many recent requests: slow down.")
        return age

    def _identify(self, hotkey: str) -> Caller:
        snapshot = self._metagraph()
        if snapshot is None:
            raise Refused(503, "no_metagraph", "This miner has not read the metagraph yet.")
        neuron = snapshot.find(hotkey)
        config = self._config
        if neuron is None:
            if not config.allow_non_registered:
                raise Refused(403, "unknown_hotkey", "The hotkey is not registered on this subnet.")
            caller = Caller(hotkey, None, 0.0)
        elif config.force_validator_permit and not neuron.validator_permit:
            raise Refused(403, "no_permit", "The hotkey has no validator permit.")
        else:
            caller = Caller(hotkey, neuron.uid, neuron.stake)
        if caller.stake < config.min_stake:
            raise Refused(403, "low_stake", "The hotkey has too little stake.")
        return caller

    def _check_fresh(self, call: Call, offset_s: float) -> None:
        """A window on both sides of our clock; only what was learned from verified requests may shift it.

        It is wide for legacy callers, because the stock axon never told a validator with a wrong clock, and the table
        of seen nonces covers all of it.
        """
        if call.dialect is Dialect.LEGACY:
            past, future = self._window_s, self._window_s
        else:
            past, future = BTAUTH_MAX_AGE_S, BTAUTH_ALLOWED_SKEW_S
            learned = self.skew.offset(call.hotkey)
            if learned is not None and -future <= offset_s - learned <= past:
                return
        if offset_s > past:
            raise Refused(401, "stale_nonce", "The nonce is too old: check the clocks.")
        if offset_s < -future:
            raise Refused(401, "future_nonce", "The nonce lies in the future: check the clocks.")


def _nonce_key(call: Call) -> int:
    """Nonce and uuid in 64 bits: a fifth of the memory, and no stranger can aim for a collision."""
    return hash((call.nonce, call.uuid))


def deadline_of(config: AxonConfig, timeout_s: float, arrival: float, age_s: float) -> float:
    """Monotonic time by which the reply must leave: the caller's timeout from when it signed, less the margin.

    `age_s` is how long the request was on its way, corrected for learned skew; it is charged up to `max_transit_s`.
    """
    return arrival - min(max(age_s, 0.0), config.max_transit_s) + timeout_s - config.deadline_margin_s
