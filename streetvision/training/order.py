"""In which order a training sees its pictures: a pure function of seed and epoch, so that it resumes anywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def epoch_order(
    labels: NDArray[np.bool_], count: int, *, seed: int, epoch: int, positive_share: float | None = None
) -> Indices:
    """Indices [count] of the pictures of one epoch, in random order; `positive_share` of them have label True.

    Within a class every picture has its turn before any comes again, over the bounds of epochs too. None leaves the
    classes as they are. Raises ValueError when a class is asked for that has no picture.
    """
    classes = [(np.arange(len(labels)), count)]
    if positive_share is not None:
        positives = round(count * positive_share)
        classes = [(np.flatnonzero(labels), positives), (np.flatnonzero(~labels), count - positives)]
    chosen = [_turns(one, share, seed, epoch) for one, share in classes if share]
    order: Indices = np.random.default_rng((seed, 2, epoch)).permutation(np.concatenate(chosen))
    return order


def _turns(members: NDArray[np.int64], count: int, seed: int, epoch: int) -> Indices:
    """Stretch number `epoch` of `count` draws out of an endless row of permutations of the members."""
    if not len(members):
        raise ValueError("a class has no picture")
    first = epoch * count
    rounds = range(first // len(members), -(-(first + count) // len(members)))
    label = int(members[0])
    row = np.concatenate([np.random.default_rng((seed, 1, label, turn)).permutation(members) for turn in rounds])
    skipped = first - rounds.start * len(members)
    stretch: Indices = row[skipped : skipped + count]
    return stretch


def shard(order: Indices, batch: int, *, rank: int, world: int) -> list[Indices]:
    """This rank's batches. All ranks' batches of one step together are what a single process with their sum would see.

    The last step may be short; a rank that gets nothing of it has one batch fewer.
    """
    steps = [order[start : start + batch * world] for start in range(0, len(order), batch * world)]
    parts = [np.array_split(step, world)[rank] for step in steps]
    return [part for part in parts if len(part)]
