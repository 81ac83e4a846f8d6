"""From the SDK's typed metagraph to the snapshot that the rest of the miner reads."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from bittensor import BittensorError, Metagraph, Substrate
from loguru import logger

from streetvision.chain.metagraph import MetagraphSnapshot, Neuron

RAO = 10**9
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
NAME_LETTERS = 64
"""Kept of a subnet's name."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What the runtime's metagraph leaves out; the names are those of MetagraphSnapshot."""

    block_time: float | None = None
    min_non_immune_uids: int | None = None
    immune_owner_uids: int | None = None
    block_hash: str | None = None
    chain: str | None = None


async def read_extras(view: Any, netuid: int) -> Extras:  # noqa: ANN401 - the SDK's client or pinned view
    """Three small reads; all unknown when a runtime lacks one, as the metagraph itself must not fail for them."""
    items = (("SubtensorModule", "MinNonImmuneUids"), ("SubtensorModule", "ImmuneOwnerUidsLimit"))
    try:
        now, *limits = await asyncio.gather(read_time(view), *(view.query(item, [netuid]) for item in items))
    except BittensorError as error:
        logger.debug("chain: the block's time and the pruning limits cannot be read: {}", error)
        return Extras()
    least, immune = map(_optional_int, limits)
    return Extras(now, least, immune)


async def read_time(view: Any) -> float | None:  # noqa: ANN401 - the SDK's client or pinned view
    """The block's own time, Unix seconds; None where the node gives none, or none that is a time. BittensorError."""
    try:
        return float((await view.timestamp()).timestamp())
    except (TypeError, ValueError, OverflowError) as error:
        logger.debug("chain: the block's time cannot be read: {}", error)
        return None


async def read_hash(substrate: Substrate, block: int) -> str | None:
    """A block's hash; None when the node does not have it, or answers with something else."""
    try:
        found: object = await substrate.block_hash(block)
    except BittensorError as error:
        logger.debug("chain: the hash of block {} cannot be read: {}", block, error)
        return None
    return found if isinstance(found, str) and _HASH.fullmatch(found) else None


async def read_identity(substrate: Substrate) -> str | None:
    """What tells this chain from every other, as `block:hash`: its first block, else its genesis; None without both.

    A development chain that is purged and begun anew has the same genesis and another first block.
    """
    for block in (1, 0):
        found = await read_hash(substrate, block)
        if found is not None:
            return f"{block}:{found}"
    return None


def snapshot_of(graph: Metagraph, taken_at: float, extras: Extras = Extras()) -> MetagraphSnapshot:
    """The SDK's metagraph as an immutable snapshot; `taken_at` is Unix time."""
    raw = graph.raw
    burn = raw.get("burn")
    return MetagraphSnapshot(
        netuid=graph.netuid,
        block=graph.block,
        taken_at=taken_at,
        tempo=graph.tempo,
        owner_hotkey=graph.owner_hotkey,
        max_uids=graph.max_uids,
        neurons=tuple(_neuron(neuron) for neuron in graph.neurons),
        last_epoch=graph.last_step,
        immunity_period=_optional_int(raw.get("immunity_period")),
        serving_rate_limit=_optional_int(raw.get("serving_rate_limit")),
        registration_price=None if burn is None else int(burn) / RAO,
        registration_allowed=raw.get("registration_allowed"),
        owner_coldkey=graph.owner_coldkey,
        name=_printable(graph.name) or None,
        subnet_registered_at=graph.network_registered_at,
        alpha_price=graph.price,
        min_non_immune_uids=extras.min_non_immune_uids,
        immune_owner_uids=extras.immune_owner_uids,
        block_time=extras.block_time,
        block_hash=extras.block_hash,
        chain=extras.chain,
    )


def _printable(name: object) -> str:
    """Anybody who owns a subnet writes its name: one short line without control characters."""
    if not isinstance(name, str):
        return ""
    return "".join(letter if letter.isprintable() else " " for letter in name)[:NAME_LETTERS].strip()


def _optional_int(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _neuron(neuron: Any) -> Neuron:  # noqa: ANN401 - the SDK's MetagraphNeuron
    return Neuron(
        uid=neuron.uid,
        hotkey=neuron.hotkey,
        coldkey=neuron.coldkey,
        validator_permit=neuron.validator_permit,
        stake=neuron.total_stake.amount,
        rank=neuron.rank,
        trust=neuron.trust,
        consensus=neuron.consensus,
        incentive=neuron.incentive,
        dividends=neuron.dividends,
        pruning_score=neuron.pruning_score,
        emission=neuron.emission.amount,
        last_update=neuron.last_update,
        block_at_registration=neuron.block_at_registration,
        axon=neuron.axon,
        collateral=None if neuron.collateral_locked is None else neuron.collateral_locked.amount,
    )
