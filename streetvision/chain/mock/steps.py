"""What happens on the mocked chain without anybody's signature: blocks, epochs, pruning and registration."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import fmean
from types import MappingProxyType

import numpy as np

from streetvision.chain.mock.config import RAO
from streetvision.chain.mock.epoch import EpochResult, Floats, run_epoch
from streetvision.chain.mock.state import Row, SubnetState, simulated_keys, simulated_skill, with_item

NOISE = 0.03
"""Half-width of the seeded noise by which validators differ about a simulated miner."""


def advance(state: SubnetState) -> SubnetState:
    """The next block; runs the epoch when a tempo has passed."""
    state = replace(
        state,
        block=state.block + 1,
        timestamp_ms=state.timestamp_ms + round(state.block_time_s * 1000),
        registrations_this_block=0,
    )
    return settle(state) if state.block - state.last_epoch >= state.config.tempo else state


def settle(state: SubnetState) -> SubnetState:
    """Run one epoch: every permitted validator's row of weights becomes the subnet's scores."""
    validators = [row for row in state.rows if row.validator_permit]
    weights = np.array([validator_row(state, row) for row in validators], dtype=np.float64)
    alpha = state.config.alpha_per_block * state.config.tempo * RAO
    uids, stakes = [row.uid for row in validators], [float(row.stake) for row in validators]
    result = run_epoch(weights.reshape(len(validators), len(state.rows)), uids, stakes, 0, alpha)
    rows = tuple(_scored(row, result, state.block) for row in state.rows)
    return replace(state, rows=rows, last_epoch=state.block, epoch_index=state.epoch_index + 1)


def _scored(row: Row, result: EpochResult, block: int) -> Row:
    return replace(
        row,
        rank=float(result.rank[row.uid]),
        trust=float(result.trust[row.uid]),
        consensus=float(result.consensus[row.uid]),
        incentive=float(result.incentive[row.uid]),
        dividends=float(result.dividends[row.uid]),
        pruning_score=float(result.pruning_score[row.uid]),
        emission=int(result.emission[row.uid]),
        last_update=block if row.validator_permit else row.last_update,
    )


def validator_row(state: SubnetState, validator: Row) -> Floats:
    """The weights [n] a validator gives now.

    Halted: everything to UID 0. A row set by extrinsic counts as it stands. Otherwise each UID gets the validator's own
    unexpired external score; failing that the mean of the other validators' unexpired ones (they would have challenged
    the same miner); failing that what validators know of a simulated miner, with a little seeded noise; else nothing.
    """
    row = np.zeros(len(state.rows))
    if state.halted:
        row[0] = 1.0
        return row
    chosen = state.weights.get(validator.hotkey)
    for target in state.rows:
        if chosen is not None:
            row[target.uid] = chosen.get(target.hotkey, 0.0)
        elif not target.validator_permit:
            row[target.uid] = _opinion(state, validator, target)
    return row


def _opinion(state: SubnetState, validator: Row, target: Row) -> float:
    oldest = max(state.block - state.config.score_ttl_tempos * state.config.tempo, target.registered_at)
    fresh = {
        giver: given[target.hotkey].value
        for giver, given in state.scores.items()
        if target.hotkey in given and given[target.hotkey].block >= oldest
    }
    if fresh:
        return fresh.get(validator.hotkey, fmean(fresh.values()))
    if target.skill is None:
        return 0.0
    noise = random.Random(f"{state.config.seed}/{state.epoch_index}/{validator.uid}/{target.hotkey}").uniform(-1, 1)
    return max(0.0, target.skill + NOISE * noise)


def is_immune(state: SubnetState, row: Row) -> bool:
    """Whether a row is still within the immunity period."""
    return state.block - row.registered_at < state.config.immunity_period


def pruning_order(state: SubnetState) -> tuple[Row, ...]:
    """Rows in the order in which registrations would evict them now; the owner's immortal keys are left out.

    The chain's rule: while more than MinNonImmuneUids are out of immunity, the one of those with the smallest
    (emission, registration block, uid); else the smallest of the immune. Validators count too.
    """
    owner = state.owner_coldkey
    owned = sorted((row for row in state.rows if row.coldkey == owner), key=lambda row: (row.registered_at, row.uid))
    immortal = {row.uid for row in owned[: state.config.immune_owner_uids]} | {0}
    mortal = sorted(
        (row for row in state.rows if row.uid not in immortal), key=lambda r: (r.emission, r.registered_at, r.uid)
    )
    open_to_pruning = [row for row in mortal if not is_immune(state, row)]
    spare = max(0, len(open_to_pruning) - state.config.min_non_immune_uids)
    immune = [row for row in mortal if is_immune(state, row)]
    return (*open_to_pruning[:spare], *immune, *open_to_pruning[spare:])


def place(state: SubnetState, hotkey: str, coldkey: str, skill: float | None = None) -> SubnetState:
    """Give a hotkey the next free UID, or that of the first row in the pruning order; LookupError when none is free."""
    if len(state.rows) < state.config.max_uids:
        uid = len(state.rows)
    else:
        order = pruning_order(state)
        if not order:
            raise LookupError("every UID is immortal")
        uid = order[0].uid
        state = _forget(state, order[0].hotkey)
    owners = with_item(state.owners, hotkey, coldkey)
    return replace(state, owners=owners).with_row(Row(uid, hotkey, coldkey, state.block, skill=skill))


def _forget(state: SubnetState, hotkey: str) -> SubnetState:
    """Drop the weights and scores that an evicted hotkey gave."""
    weights = {giver: row for giver, row in state.weights.items() if giver != hotkey}
    scores = {giver: row for giver, row in state.scores.items() if giver != hotkey}
    return replace(state, weights=MappingProxyType(weights), scores=MappingProxyType(scores))


def evict(state: SubnetState, hotkey: str) -> SubnetState:
    """Replace a registered hotkey by a new simulated miner, as a competitor's registration does; KeyError if absent."""
    row = state.find(hotkey)
    if row is None:
        raise KeyError(hotkey)
    number = state.newcomers
    new_hotkey, new_coldkey = simulated_keys(state.config, number)
    newcomer = Row(row.uid, new_hotkey, new_coldkey, state.block, skill=simulated_skill(state.config, number))
    owners = with_item(state.owners, new_hotkey, new_coldkey)
    return replace(_forget(state, hotkey), newcomers=number + 1, owners=owners).with_row(newcomer)
