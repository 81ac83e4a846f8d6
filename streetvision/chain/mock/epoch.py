"""The epoch of the mocked chain: validators' weights become incentive, dividends and emission.

A simplified Yuma consensus: the stake-weighted median, clipping to it, and bonds without memory. In symbols, for
validators i with stake s_i (the stakes of those that set weights, summing to 1) and normalised weights w_ij:

- c_j = the largest w such that validators holding at least half of the stake give UID j at least w  (consensus)
- w'_ij = min(w_ij, c_j)                                                                             (clipping)
- r_j = sum_i s_i w'_ij                                                                              (rank)
- t_j = r_j / sum_i s_i w_ij                                                                         (trust)
- I_j = r_j / sum_k r_k                                                                              (incentive)
- D_i = sum_j I_j (s_i w'_ij / sum_k s_k w'_kj)                                                      (dividends)
- E_j = alpha of the tempo * (0.41 I_j + 0.41 D_j)                                                   (emission)
- P_j = E_j / max_k E_k                                                                    (reported pruning score)

The owner keeps the remaining 18 % of a tempo outside the metagraph. A validator's weight on itself counts only for the
owner's UID, which is how a halted subnet burns: all validators give everything to the owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

KAPPA = 0.5
MINER_SHARE = 0.41
VALIDATOR_SHARE = 0.41


@dataclass(frozen=True)
class EpochResult:
    """One value per UID, each array of shape [n]; `emission` is in the unit of the alpha passed in."""

    rank: Floats
    trust: Floats
    consensus: Floats
    incentive: Floats
    dividends: Floats
    emission: Floats
    pruning_score: Floats


def _normalised(values: Floats) -> Floats:
    """Rows (or a vector) scaled to sum 1; all-zero ones stay zero."""
    totals = values.sum(axis=-1, keepdims=True)
    scaled: Floats = np.divide(values, totals, out=np.zeros_like(values), where=totals > 0)
    return scaled


def weighted_median(stake: Floats, column: Floats) -> float:
    """The largest weight that validators holding at least KAPPA of the stake reach or exceed; stake sums to 1."""
    order = np.argsort(-column, kind="stable")
    reached = np.cumsum(stake[order]) >= KAPPA - 1e-12
    return float(column[order][np.argmax(reached)]) if reached.any() else 0.0


def _mask_self_weights(weights: Floats, validators: Sequence[int], owner_uid: int) -> Floats:
    masked = weights.copy()
    for row, uid in enumerate(validators):
        if uid != owner_uid:
            masked[row, uid] = 0.0
    return masked


def run_epoch(
    weights: Floats, validators: Sequence[int], stake: Sequence[float], owner_uid: int, alpha: float
) -> EpochResult:
    """Apply the module's formula once.

    `weights` is [v, n], non-negative, one row per validator; `validators` [v] names the rows' UIDs and `stake` [v]
    their stake; `alpha` is the tempo's total emission.
    """
    rows = _normalised(_mask_self_weights(np.asarray(weights, dtype=np.float64), validators, owner_uid))
    active = rows.sum(axis=1) > 0
    share = _normalised(np.where(active, np.asarray(stake, dtype=np.float64), 0.0))
    consensus = np.array([weighted_median(share, rows[:, uid]) for uid in range(rows.shape[1])])
    clipped = np.minimum(rows, consensus)
    rank = share @ clipped
    unclipped = share @ rows
    trust = np.divide(rank, unclipped, out=np.zeros_like(rank), where=unclipped > 0)
    incentive = _normalised(rank)
    dividends = _dividends(share, clipped, incentive, validators)
    emission = alpha * (MINER_SHARE * incentive + VALIDATOR_SHARE * dividends)
    top = emission.max(initial=0.0)
    pruning = emission / top if top > 0 else np.zeros_like(emission)
    return EpochResult(rank, trust, consensus, incentive, dividends, emission, pruning)


def _dividends(share: Floats, clipped: Floats, incentive: Floats, validators: Sequence[int]) -> Floats:
    bonds = share[:, None] * clipped
    totals = bonds.sum(axis=0)
    held = np.divide(bonds, totals, out=np.zeros_like(bonds), where=totals > 0) @ incentive
    dividends = np.zeros_like(incentive)
    np.add.at(dividends, np.asarray(validators, dtype=np.int64), held)
    return _normalised(dividends)
