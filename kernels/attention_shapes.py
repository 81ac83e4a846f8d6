"""The shapes that programs of the attention kernel may take, and a model of the chip that says which to try.

Every shape gives a warp 16 queries and meets keys in blocks of 64, so that a query's sums run in one order whatever the
shape. What differs is how many queries share the keys that a program loads, how far ahead it loads, and how many
registers it may have: 128 let a Hopper hold two of the large programs.

The model: a multiprocessor holds as many programs as its registers, shared memory and threads allow, and its share of
all programs goes through in rounds. A round takes a step for each block of keys: the work of all rows that it holds
and of rotating the keys for each program, or the latency of one step if there is too little. Fitted to an H100
(docs/kernels.md); of other chips it is asked for an order alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from streetvision_kernels.chip import Chip, Demand, resident

KEYS = 64
"""Of a block."""
STILL_KEYS = 64
"""Of a block where nothing is rotated."""
ROWS_A_WARP = 16
STAGE_BYTES = 24_576
"""Keys and values of a block with the angles of its positions, bfloat16 and float16."""
ROW_BYTES = 128
"""Of a query, beyond the first 64, which lie where the keys will be."""
SPARED_BYTES = 16_384
"""Before Hopper tensor cores take rotated keys from registers."""
STEP_US = 0.9
"""Of a program alone with a block of keys."""
ROW_US = 0.0086
"""A row's work on a block of keys, of a multiprocessor that has enough of them."""
KEY_ROWS = 32
"""What a program's loading and rotating a block of keys is worth in such rows."""
HOPPER = (9, 0)
REGISTERS = {True: 152, False: 192}
"""That the compiler takes when it may, on Hopper and later, and before (there with at least three stages)."""
TRIED = 2
"""Shapes of each number of queries that are timed: the model tells more of queries than of stages."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Of one program."""

    queries: int
    stages: int
    registers: int | None = None
    """Most that a thread may have; None leaves it to the compiler."""

    @property
    def warps(self) -> int:
        """Of 16 queries each."""
        return self.queries // ROWS_A_WARP

    def demand(self, chip: Chip) -> Demand:
        """What a program takes at most."""
        hopper = chip.capability >= HOPPER
        shared = STAGE_BYTES * self.stages + ROW_BYTES * (self.queries - KEYS) - (0 if hopper else SPARED_BYTES)
        return Demand(self.warps, self.registers or REGISTERS[hopper], shared)


SHAPES = (
    Shape(128, 3, 128),
    Shape(64, 3),
    Shape(128, 2, 128),
    Shape(64, 2),
    Shape(128, 4, 128),
    Shape(64, 4),
    Shape(128, 3),
    Shape(128, 4),
    Shape(64, 3, 128),
)
"""Among equals the model prefers the earlier."""

STILL_SHAPES = (Shape(64, 2), Shape(128, 2, 128), Shape(64, 3), Shape(128, 3, 128))
"""All tried where nothing is rotated, of which the model below knows nothing; the first fits every chip."""


def predicted_us(chip: Chip, shape: Shape, *, places: int, tokens: int) -> float:
    """Of a launch over `places` heads of images; infinite where the shape does not fit the chip."""
    held: int = resident(chip, shape.demand(chip))
    if not held:
        return float("inf")
    programs: int = ceil(places * ceil(tokens / shape.queries) / chip.multiprocessors)
    rounds, rest = divmod(programs, held)
    return ceil(tokens / KEYS) * (rounds * _step(held, shape) + _step(rest, shape))


def ranked(chip: Chip, *, places: int, tokens: int) -> tuple[Shape, ...]:
    """The shapes that are worth trying, most promising first; empty where none fits.

    Fewer registers than the compiler wants make it spill, which only Hopper, whose products need few, can bear.
    """
    times = {
        shape: predicted_us(chip, shape, places=places, tokens=tokens)
        for shape in SHAPES
        if shape.registers is None or chip.capability >= HOPPER
    }
    fitting = sorted((shape for shape, time in times.items() if time < float("inf")), key=times.__getitem__)
    return tuple(
        shape
        for place, shape in enumerate(fitting)
        if sum(other.queries == shape.queries for other in fitting[:place]) < TRIED
    )


def _step(programs: int, shape: Shape) -> float:
    return max(STEP_US, programs * (shape.queries + KEY_ROWS) * ROW_US) if programs else 0.0
