"""The order in which UIDs are lost, by the chain's own rule; the reported pruning score is not that order.

While the subnet has free UIDs a registration evicts nobody. Else the owner's key and its oldest keys are immortal; a
UID is immune for `immunity_period` blocks after its registration; while more than `min_non_immune_uids` are out of
immunity, the one of those with the smallest (emission, registration block, UID) goes, else the smallest of the immune.
Validators count too.
"""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.chain.metagraph import MetagraphSnapshot, Neuron

MIN_NON_IMMUNE_UIDS = 10
"""The runtime's default, for a source that does not say."""
IMMUNE_OWNER_UIDS = 1
"""The runtime's default, for a source that does not say."""


@dataclass(frozen=True, slots=True)
class Place:
    """One UID's place in the order of eviction."""

    position: int | None
    """1 is the next to go; None for an immortal UID."""
    length: int
    """UIDs in the order."""
    unprotected: int | None
    """The position when its immunity has ended and emissions are as they are now; None for an immortal UID."""
    immune_until: int | None
    """Block at which immunity ends or ended; None where the source does not say."""


def owned_by_owner(snapshot: MetagraphSnapshot, neuron: Neuron) -> bool:
    """Whether a UID is the subnet owner's: what it gets of the miners' reward is burned."""
    return neuron.hotkey == snapshot.owner_hotkey or neuron.coldkey == snapshot.owner_coldkey


def pruning_order(snapshot: MetagraphSnapshot, block: int | None = None) -> tuple[Neuron, ...]:
    """Rows in the order in which registrations evict them at `block` (the snapshot's unless given)."""
    block = snapshot.block if block is None else block
    immortal = _immortal(snapshot)
    period = snapshot.immunity_period or 0
    mortal = sorted(
        (n for n in snapshot.neurons if n.uid not in immortal),
        key=lambda n: (n.emission, n.block_at_registration, n.uid),
    )
    immune = [n for n in mortal if block - n.block_at_registration < period]
    rest = [n for n in mortal if block - n.block_at_registration >= period]
    least = snapshot.min_non_immune_uids
    spare = max(0, len(rest) - (MIN_NON_IMMUNE_UIDS if least is None else least))
    return (*rest[:spare], *immune, *rest[spare:])


def place_of(snapshot: MetagraphSnapshot, own: Neuron) -> Place:
    """The place of `own`, a row of the snapshot."""
    period = snapshot.immunity_period
    until = None if period is None else own.block_at_registration + period
    order = pruning_order(snapshot)
    position = _position(order, own)
    unprotected = position
    if until is not None and until > snapshot.block:
        unprotected = _position(pruning_order(snapshot, until), own)
    return Place(position, len(order), unprotected, until)


def _immortal(snapshot: MetagraphSnapshot) -> frozenset[int]:
    owned = sorted(
        (n for n in snapshot.neurons if n.coldkey == snapshot.owner_coldkey),
        key=lambda n: (n.block_at_registration, n.uid),
    )
    limit = snapshot.immune_owner_uids
    oldest = owned[: IMMUNE_OWNER_UIDS if limit is None else limit]
    return frozenset(n.uid for n in (*oldest, *(n for n in snapshot.neurons if n.hotkey == snapshot.owner_hotkey)))


def _position(order: tuple[Neuron, ...], own: Neuron) -> int | None:
    return next((place for place, neuron in enumerate(order, 1) if neuron.uid == own.uid), None)
