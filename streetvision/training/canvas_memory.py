"""Decoded canvases in memory, so that only the first epoch decodes; within a share of what is free, never beyond it."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from streetvision.base.resources import Memory, usable_memory
from streetvision.training.decoding import Canvas

FREE_SHARE = 0.5
"""Of the memory that is available at the start at most this much is taken, by all processes of a training together."""
RESERVE = 0.1
"""Share of all memory that stays available: below it nothing more is kept."""
LOOK_EVERY = 128
"""Canvases between two looks at what is available."""

Look = Callable[[], Memory]


class CanvasMemory:
    """Canvases of `side` for `count` examples, by their position; those beyond `max_bytes` are not kept.

    Threads may put and get different canvases at the same time.
    """

    instant = True

    def __init__(self, count: int, side: int, *, max_bytes: int, look: Look = usable_memory) -> None:
        self.capacity = min(count, max(0, max_bytes) // canvas_bytes(side))
        self.problem = ""
        """Why nothing more is kept, a clause; empty as long as all is well."""
        self._look, self._until_look = look, LOOK_EVERY
        self._sizes = np.zeros((self.capacity, 2), np.int32)  # a width of 0: not there yet
        try:
            self._pixels = np.empty((self.capacity, side, side, 3), np.uint8)  # takes memory where it is written to
        except MemoryError:
            self.capacity, self.problem = 0, "the system gives no more memory"

    def has(self, index: int) -> bool:
        """Whether that example's canvas is there."""
        return index < self.capacity and bool(self._sizes[index, 0])

    def get(self, index: int) -> Canvas | None:
        """The canvas of that example, to be read only; None where it is absent."""
        if not self.has(index):
            return None
        width, height = self._sizes[index].tolist()
        return Canvas(self._pixels[index], width, height)

    def put(self, index: int, canvas: Canvas) -> None:
        """Keep a canvas; where memory has become short, nothing more is kept."""
        if index >= self.capacity or self.problem:
            return
        self._until_look -= 1
        if self._until_look <= 0:
            self._until_look = LOOK_EVERY
            if is_short(self._look()):
                self.problem = "memory has become short"
                return
        self._pixels[index] = canvas.pixels
        self._sizes[index] = (canvas.width, canvas.height)

    def close(self) -> None:
        """Let go of the memory."""
        self.capacity = 0
        self._pixels = self._pixels[:0].copy()


def canvas_bytes(side: int) -> int:
    """What one canvas takes."""
    return 3 * side * side


def memory_room(gib: float, memory: Memory, processes: int) -> int:
    """Bytes for one of so many processes: `gib` for all of them, or FREE_SHARE where 0; always less than is there.

    Where the system does not say what is available, nothing is taken.
    """
    if memory.available is None:
        return 0
    most = memory.available - int(RESERVE * (memory.total or memory.available))
    wanted = int(gib * 2**30) if gib else int(FREE_SHARE * memory.available)
    return max(0, min(wanted, most)) // processes


def is_short(memory: Memory) -> bool:
    """Whether less is available than shall stay so."""
    return memory.available is not None and memory.available < RESERVE * (memory.total or 0)


def local_processes() -> int:
    """Processes of this training on this machine, as their launcher says."""
    return max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
