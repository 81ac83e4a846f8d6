"""The place of a hotkey in a snapshot and its change since the last one: pure functions for the log and the demo."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.chain.metagraph import MetagraphSnapshot, Neuron

SECONDS_PER_BLOCK = 12.0
BLOCKS_PER_DAY = 24 * 3600 / SECONDS_PER_BLOCK


@dataclass(frozen=True, slots=True)
class Standing:
    """One miner's place in the subnet at one block."""

    block: int
    uid: int
    incentive: float
    """Share of the miners' reward, in [0, 1]."""
    incentive_rank: int
    """1 is the best-paid miner; the owner's UID, which only burns, does not count."""
    miners: int
    emission: float
    """Alpha per tempo."""
    emission_per_day: float
    """Alpha per day at the chain's 12 s blocks."""
    burn_share: float
    """Share of the incentive that goes to the owner's UID and is burned, in [0, 1]."""


def standing_of(snapshot: MetagraphSnapshot, hotkey: str) -> Standing | None:
    """The hotkey's standing, or None when it is not registered."""
    own = snapshot.find(hotkey)
    if own is None:
        return None
    rivals = [n for n in snapshot.neurons if _mines(n, snapshot.owner_hotkey)]
    total = sum(n.incentive for n in snapshot.neurons)
    burned = sum(n.incentive for n in snapshot.neurons if n.hotkey == snapshot.owner_hotkey)
    return Standing(
        block=snapshot.block,
        uid=own.uid,
        incentive=own.incentive,
        incentive_rank=1 + sum(n.incentive > own.incentive for n in rivals),
        miners=len(rivals),
        emission=own.emission,
        emission_per_day=own.emission * BLOCKS_PER_DAY / max(1, snapshot.tempo),
        burn_share=burned / total if total > 0 else 0.0,
    )


def _mines(neuron: Neuron, owner_hotkey: str) -> bool:
    return not neuron.validator_permit and neuron.hotkey != owner_hotkey


def describe(now: Standing, before: Standing | None) -> str:
    """One log line: `UID 17: rank 9 of 250 (was 12), incentive 0.0041, emission 0.61 alpha per tempo (87 a day)`."""
    if now.incentive == 0:
        burned = f"; {now.burn_share:.0%} of the incentive is burned" if now.burn_share > 0 else ""
        return f"UID {now.uid}: no incentive, no emission ({now.miners} miners){burned}"
    moved = f" (was {before.incentive_rank})" if before and before.incentive_rank != now.incentive_rank else ""
    line = (
        f"UID {now.uid}: rank {now.incentive_rank} of {now.miners}{moved}, incentive {now.incentive:.4f}, "
        f"emission {now.emission:.4g} alpha per tempo ({now.emission_per_day:.4g} a day)"
    )
    return line + (f"; {now.burn_share:.0%} of the incentive is burned" if now.burn_share > 0 else "")
