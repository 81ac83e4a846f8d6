"""The metagraph as the request path sees it: immutable, replaced whole, read without a lock or an await."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

OLD_S = 600.0
"""Distance of a block's time from ours from which on its state proves no absence: fifty blocks, or a wrong clock."""


@dataclass(frozen=True, slots=True)
class Neuron:
    """One UID's row. Scores are in [0, 1]; stake and emission are in the subnet's alpha (emission per tempo)."""

    uid: int
    hotkey: str
    coldkey: str
    validator_permit: bool
    stake: float
    rank: float
    trust: float
    consensus: float
    incentive: float
    dividends: float
    pruning_score: float
    emission: float
    last_update: int
    block_at_registration: int
    axon: str | None
    """Published endpoint as `ip:port` (`[ip6]:port`), or None."""
    collateral: float | None = None
    """Alpha locked against deregistration; None where the chain does not say (runtimes before spec 435)."""


@dataclass(frozen=True)
class MetagraphSnapshot:
    """The subnet at one block."""

    netuid: int
    block: int
    taken_at: float
    """Wall-clock time (Unix seconds) at which this process asked for it."""
    tempo: int
    owner_hotkey: str
    max_uids: int
    neurons: tuple[Neuron, ...] = field(repr=False)
    last_epoch: int | None = None
    """Block of the last epoch; this and what follows is None where the source does not say."""
    immunity_period: int | None = None
    """Blocks for which a new registration cannot be pruned."""
    serving_rate_limit: int | None = None
    """Blocks between two publications of one axon."""
    registration_price: float | None = None
    """TAO."""
    registration_allowed: bool | None = None
    owner_coldkey: str | None = None
    alpha_price: float | None = None
    """TAO for one alpha at the pool's spot price."""
    min_non_immune_uids: int | None = None
    """While no more UIDs than this are out of immunity, registrations evict immune ones."""
    immune_owner_uids: int | None = None
    """How many of the owner's oldest UIDs are never pruned."""
    block_time: float | None = None
    """The block's own timestamp, Unix seconds."""
    name: str | None = None
    """The subnet's name on the chain, made printable; None where it has none."""
    subnet_registered_at: int | None = None
    """Block at which this netuid was given to the subnet."""
    block_hash: str | None = None
    chain: str | None = None
    """What tells this chain from every other, to be compared by `is_other_chain`."""
    reorganised_from: int | None = None
    """Earlier snapshots from this block on are not of this one's chain; None when it goes on from them."""

    @cached_property
    def by_hotkey(self) -> Mapping[str, Neuron]:
        """Rows keyed by hotkey: an unknown caller is a plain miss."""
        return MappingProxyType({n.hotkey: n for n in self.neurons})

    def find(self, hotkey: str) -> Neuron | None:
        """The row of a hotkey, or None when it is not registered."""
        return self.by_hotkey.get(hotkey)

    def age(self, now: float) -> float:
        """Seconds since this snapshot was read; `now` is Unix time."""
        return max(0.0, now - self.taken_at)

    @property
    def clock_offset(self) -> float | None:
        """Our clock at reading less the block's timestamp, seconds; None where the source does not say."""
        return None if self.block_time is None else self.taken_at - self.block_time

    @property
    def is_misdated(self) -> bool:
        """Whether it was old or to come when it was read, by our clock: who is missing in it may be registered now."""
        return self.clock_offset is not None and not abs(self.clock_offset) < OLD_S


def is_other_chain(one: str | None, other: str | None) -> bool:
    """Whether two identities surely mean two chains: both known, of the same block number, and different hashes."""
    if one is None or other is None:
        return False
    return one.partition(":")[0] == other.partition(":")[0] and one != other
