"""Which vectors lie close together: exact, in blocks, by cosine distance (0: same direction, 1: at right angles)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""[N, D]."""
Mask = NDArray[np.bool_]
EMBEDDING_DISTANCE = 0.005
"""Cosine distance up to which two embeddings count as the same picture. With the bundled model a picture that was
compressed again, resampled or brightened stays within 0.004 nine times in ten; the nearest other scene of 120 lay
beyond 0.006."""
_BLOCK = 1024


def unit(vectors: Vectors) -> Vectors:
    """Each row at length 1; a row of zeros stays and is then near nothing, itself included."""
    lengths = np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0), np.float32)


def close_pairs(vectors: Vectors, distance: float) -> Iterator[tuple[int, int]]:
    """All pairs i < j no further apart than `distance`, in order; compares N x N in blocks of rows."""
    rows = unit(vectors)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        near = block @ rows[start:].T >= 1.0 - distance
        near &= np.arange(len(rows) - start)[None, :] > np.arange(len(block))[:, None]
        for i, j in np.argwhere(near):
            yield start + int(i), start + int(j)


def near_any(vectors: Vectors, references: Vectors, distance: float) -> Mask:
    """[N]: whether some reference lies within `distance`; all False without references."""
    if not len(references):
        return np.zeros(len(vectors), np.bool_)
    rows, others = unit(vectors), unit(references)
    parts = [(rows[i : i + _BLOCK] @ others.T).max(axis=1) for i in range(0, len(rows), _BLOCK)]
    return np.concatenate(parts) >= 1.0 - distance if parts else np.zeros(0, np.bool_)


def group(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """[count]: the smallest member of each one's group, where pairs, and chains of pairs, belong together."""
    parent = list(range(count))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for i, j in pairs:
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    return np.array([root(one) for one in range(count)], np.int64)
