"""What an operator or a test can set about the axon; the composition root fills it from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.net.limits import MIB, HttpLimits
from streetvision.settings.network import EVERY_ADDRESS, AxonSettings, BlacklistSettings


@dataclass(frozen=True, kw_only=True)
class AxonConfig(HttpLimits):
    """Limits, rules and addresses of one axon. Durations in seconds, sizes in bytes."""

    hotkey: str
    """This miner's own hotkey (ss58): what callers must have signed for."""
    max_body_bytes: int = AxonSettings.max_body_mib * MIB
    port: int = AxonSettings.port
    """0 lets the kernel choose (tests); `AxonServer.port` tells which."""
    hosts: tuple[str, ...] = EVERY_ADDRESS
    force_validator_permit: bool = BlacklistSettings.force_validator_permit
    """Refuse registered callers without a validator permit."""
    allow_non_registered: bool = BlacklistSettings.allow_non_registered
    """Serve any key at all; such callers have stake 0, need no permit and still pass `min_stake` and the quota."""
    min_stake: float = BlacklistSettings.min_stake
    """Least stake (the subnet's alpha) of a caller."""
    quota_per_minute: float = AxonSettings.requests_per_minute
    """Requests per minute that each hotkey may sustain; 0 means no quota."""
    quota_burst: int = 120
    """Requests that a hotkey may send at once after a pause; never more than one minute's quota."""
    max_unverified_bodies: int = 64
    """Bodies that may be read at once before their signature can be checked (btauth)."""
    verified_body_budget: int = 256 * MIB
    """Memory for requests of proven callers, all together: their bodies, then their images until the reply."""
    unverified_body_budget: int = 64 * MIB
    """Memory for bodies that must be read before their signature, which covers them, can be checked (btauth)."""
    nonce_window_s: float = 13.0
    """Accepted age of a legacy nonce, either side, on top of `max_skew_s`; the stock axon's 4 s + timeout."""
    max_skew_s: float = 20.0
    """Largest clock difference of a validator that is tolerated and learned."""
    nonces_per_hotkey: int = 4096
    nonces_total: int = 131_072
    deadline_margin_s: float = AxonSettings.deadline_margin
    """Kept in reserve from the caller's timeout, for sending the answer back."""
    max_transit_s: float = 4.5
    """Most time that a request may be charged for its way here, whatever its nonce says."""
    junk_per_second: float = 50.0
    """Refusals of strangers (and greetings) answered at once; beyond it each waits `junk_delay_s`: floods starve."""
    junk_delay_s: float = 0.25
