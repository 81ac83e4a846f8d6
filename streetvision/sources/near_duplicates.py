"""Which pictures are near duplicates: by perceptual hash, and by embeddings where a model gave some."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

FINGERPRINT_DISTANCE = 4
"""Bits of 64 up to which fingerprints mean the same picture."""
_BLOCK = 64

Fingerprints = NDArray[np.uint64]


def near_fingerprints(values: Fingerprints, distance: int = FINGERPRINT_DISTANCE) -> Iterator[tuple[int, int]]:
    """Pairs of positions that link all [N] values no further apart than `distance` bits; exact.

    Every two distinct values are compared by counting bits, so 100,000 pictures take seconds and no index is kept;
    equal values are linked to their first one only, so that a thousand black pictures are a thousand pairs.
    """
    distinct, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    for position, group in enumerate(inverse):
        if first[group] != position:
            yield int(first[group]), position
    for start in range(0, len(distinct), _BLOCK):
        block = distinct[start : start + _BLOCK]
        bits = np.bitwise_count(block[:, None] ^ distinct[None, start + 1 :])
        for row, column in np.argwhere(bits <= distance):
            if column >= row:
                yield int(first[start + row]), int(first[start + 1 + column])
