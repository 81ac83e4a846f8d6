"""Sprites a second of one core, works and look-alikes in turn, at the sizes that compositors ask for.

Processor time, not the clock's: other work does not count. Checks first that a seed gives the same again.
"""

from __future__ import annotations

import time

import numpy as np
from harness import Row, machine, report

from streetvision.scenes.sprites.sprite import atlas

SIDES = (64, 128, 256)
COUNT = 200
FIRST_SEED = 5_000


def measured(side: int) -> Row:
    """One row of the table."""
    np.testing.assert_array_equal(atlas(4, FIRST_SEED, side).pixels, atlas(4, FIRST_SEED, side).pixels)
    start = time.process_time()
    made = atlas(COUNT, FIRST_SEED, side)
    seconds = time.process_time() - start
    return {
        "side": side,
        "sprites": COUNT,
        "kinds": len(np.unique(made.kinds)),
        "ms a sprite": seconds / COUNT * 1e3,
        "sprites/s a core (goal 30)": COUNT / seconds,
    }


def main() -> None:
    """Measure every size and write the result."""
    where = machine()
    report("sprites", "rendering sprites of works and look-alikes", [measured(side) for side in SIDES], where)


if __name__ == "__main__":
    main()
