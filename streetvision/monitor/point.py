"""One point of the history: a hotkey's standing and the subnet's state at one block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streetvision.chain.metagraph import MetagraphSnapshot, Neuron, is_other_chain
from streetvision.monitor.pruning import owned_by_owner, place_of
from streetvision.monitor.standing import BLOCKS_PER_DAY

IDLE_BLOCKS = 720
"""A validator that set no weights for two usual tempos is not active; the chain itself waits 5,000 blocks."""


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """The figures kept of one snapshot. Those of the own UID are None or 0 while the hotkey is not registered."""

    time: float
    """Unix seconds at which the snapshot was read."""
    block: int
    tempo: int
    epoch: int
    """Block of the last epoch: what the epoch decides is the same in all points that share it."""
    uid: int | None
    registered_at: int | None
    """Block."""
    incentive: float
    """Share of the miners' reward, in [0, 1]."""
    rank: int | None
    """By incentive; 1 is the best-paid miner. Owner's UIDs and validators do not count."""
    miners: int
    emission: float
    """Alpha per tempo."""
    trust: float
    consensus: float
    pruning_score: float
    stake: float
    """Alpha."""
    collateral: float | None
    """Alpha; None where the chain does not say."""
    axon: str | None
    """Our endpoint as the chain has it."""
    alpha_price: float | None
    """TAO for one alpha at the pool."""
    burn_share: float
    """Share of the incentive that goes to the owner's UIDs, in [0, 1]."""
    paid_miners: int
    """Miners with incentive, the owner's UIDs left out."""
    validators: int
    """UIDs with a permit and stake."""
    active_validators: int
    """Those of them that set weights in the last IDLE_BLOCKS."""
    weights_age: int | None
    """Blocks since any of them set weights; None without validators."""
    position: int | None
    """Own place in the order of eviction, 1 is next; None when it cannot be evicted."""
    queue: int
    """UIDs in that order."""
    unprotected: int | None
    """The place without the own immunity."""
    immune_until: int | None
    """Block at which the own immunity ends or ended."""
    free_uids: int
    """While there are any, a registration evicts nobody."""
    registration_price: float | None
    """TAO."""
    registrations: int
    """Seen since the point before."""
    recent_registrations: int
    """UIDs registered in the last day's blocks."""
    clock_offset: float | None
    """Our clock at reading less the block's timestamp, seconds: propagation and polling (0 to about 20) plus skew."""
    chain: str | None = None
    """Identity of the chain, as in MetagraphSnapshot; this and what follows is None in points of before it was kept."""
    subnet_name: str | None = None
    subnet_owner: str | None = None
    """Coldkey."""
    subnet_registered_at: int | None = None
    """Block at which the netuid was given to the subnet."""

    @property
    def registered(self) -> bool:
        """Whether the hotkey has a UID."""
        return self.uid is not None

    @property
    def emission_per_day(self) -> float:
        """Alpha per day at 12 s a block."""
        return self.emission * BLOCKS_PER_DAY / max(1, self.tempo)

    @property
    def tao_per_day(self) -> float | None:
        """TAO per day at the pool's price; None without a price."""
        return None if self.alpha_price is None else self.emission_per_day * self.alpha_price


def point_of(
    snapshot: MetagraphSnapshot, hotkey: str, before: HistoryPoint | None, *, clocked: bool = True
) -> HistoryPoint:
    """The point of a snapshot. `before` is the last point; `clocked` is false where block timestamps mean nothing."""
    own = snapshot.find(hotkey)
    rivals = [n for n in snapshot.neurons if not n.validator_permit and not owned_by_owner(snapshot, n)]
    voters = [n for n in snapshot.neurons if n.validator_permit and n.stake > 0]
    place = None if own is None else place_of(snapshot, own)
    total = sum(n.incentive for n in snapshot.neurons)
    burned = sum(n.incentive for n in snapshot.neurons if owned_by_owner(snapshot, n))
    return HistoryPoint(
        time=snapshot.taken_at,
        block=snapshot.block,
        tempo=snapshot.tempo,
        epoch=_epoch(snapshot),
        uid=own.uid if own else None,
        registered_at=own.block_at_registration if own else None,
        incentive=own.incentive if own else 0.0,
        rank=1 + sum(n.incentive > own.incentive for n in rivals) if own else None,
        miners=len(rivals),
        emission=own.emission if own else 0.0,
        trust=own.trust if own else 0.0,
        consensus=own.consensus if own else 0.0,
        pruning_score=own.pruning_score if own else 0.0,
        stake=own.stake if own else 0.0,
        collateral=own.collateral if own else None,
        axon=own.axon if own else None,
        alpha_price=snapshot.alpha_price,
        burn_share=burned / total if total > 0 else 0.0,
        paid_miners=sum(n.incentive > 0 for n in rivals),
        validators=len(voters),
        active_validators=sum(snapshot.block - n.last_update <= IDLE_BLOCKS for n in voters),
        weights_age=min((max(0, snapshot.block - n.last_update) for n in voters), default=None),
        position=place.position if place else None,
        queue=place.length if place else 0,
        unprotected=place.unprotected if place else None,
        immune_until=place.immune_until if place else None,
        free_uids=max(0, snapshot.max_uids - len(snapshot.neurons)),
        registration_price=snapshot.registration_price,
        registrations=_arrived(snapshot.neurons, snapshot.block if before is None else before.block),
        recent_registrations=_arrived(snapshot.neurons, snapshot.block - int(BLOCKS_PER_DAY)),
        clock_offset=snapshot.clock_offset if clocked else None,
        chain=snapshot.chain,
        subnet_name=snapshot.name,
        subnet_owner=snapshot.owner_coldkey,
        subnet_registered_at=snapshot.subnet_registered_at,
    )


def _epoch(snapshot: MetagraphSnapshot) -> int:
    if snapshot.last_epoch is not None:
        return snapshot.last_epoch
    return snapshot.block - snapshot.block % max(1, snapshot.tempo)


def _arrived(neurons: tuple[Neuron, ...], after: int) -> int:
    return sum(n.block_at_registration > after for n in neurons)


def of_one_chain(points: Sequence[HistoryPoint], chain: str | None = None) -> tuple[HistoryPoint, ...]:
    """Keep, of points in order of time, those of one chain: the one with this identity, else the newest point's.

    Where they do not say their chain, blocks that fall mean another: only a mocked chain began anew in those days.
    """
    wanted = chain if chain is not None or not points else points[-1].chain
    own = [point for point in points if not is_other_chain(point.chain, wanted)]
    start = next((i for i in range(len(own) - 1, 0, -1) if own[i].block < own[i - 1].block), 0)
    return tuple(own[start:])
