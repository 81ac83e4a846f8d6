"""Canvases in memory: within their bound, and only as long as memory is not short."""

from __future__ import annotations

import numpy as np
import pytest

from streetvision.base.resources import Memory
from streetvision.training.canvas_memory import LOOK_EVERY, CanvasMemory, memory_room
from streetvision.training.decoding import Canvas

GIB = 2**30
SIDE = 4


def canvas(level: int) -> Canvas:
    return Canvas(np.full((SIDE, SIDE, 3), level, np.uint8), 40 + level, 30)


def plenty() -> Memory:
    return Memory(8 * GIB, 16 * GIB)


def test_what_was_put_is_there_and_nothing_else() -> None:
    kept = CanvasMemory(3, SIDE, max_bytes=GIB, look=plenty)
    kept.put(1, canvas(7))
    found = kept.get(1)
    assert found is not None
    assert (found.width, found.height, int(found.pixels.min()), int(found.pixels.max())) == (47, 30, 7, 7)
    assert [kept.has(index) for index in range(4)] == [False, True, False, False]
    assert kept.get(2) is None


def test_it_keeps_within_its_bound() -> None:
    kept = CanvasMemory(10, SIDE, max_bytes=2 * 3 * SIDE * SIDE + 5, look=plenty)
    for index in range(10):
        kept.put(index, canvas(index))
    assert [kept.has(index) for index in range(10)] == [True, True] + [False] * 8
    assert CanvasMemory(10, SIDE, max_bytes=-3, look=plenty).capacity == 0


def test_it_keeps_no_more_where_memory_becomes_short() -> None:
    kept = CanvasMemory(3 * LOOK_EVERY, SIDE, max_bytes=GIB, look=lambda: Memory(GIB, 16 * GIB))
    for index in range(3 * LOOK_EVERY):
        kept.put(index, canvas(index % 100))
    assert sum(map(kept.has, range(3 * LOOK_EVERY))) == LOOK_EVERY - 1
    assert kept.problem == "memory has become short"


def test_what_was_let_go_of_is_absent() -> None:
    kept = CanvasMemory(2, SIDE, max_bytes=GIB, look=plenty)
    kept.put(0, canvas(1))
    kept.close()
    kept.put(1, canvas(1))
    assert kept.get(0) is None
    assert kept.get(1) is None


@pytest.mark.parametrize(
    ("gib", "memory", "processes", "room"),
    [
        (0.0, Memory(8 * GIB, 16 * GIB), 1, 4 * GIB),
        (0.0, Memory(8 * GIB, 16 * GIB), 2, 2 * GIB),
        (2.0, Memory(8 * GIB, 16 * GIB), 1, 2 * GIB),
        (100.0, Memory(8 * GIB, 10 * GIB), 1, 7 * GIB),
        (0.0, Memory(1 * GIB, 100 * GIB), 1, 0),
        (4.0, Memory(None, None), 1, 0),
    ],
    ids=["half", "shared by two", "as asked", "never all of it", "short already", "unknown"],
)
def test_room(gib: float, memory: Memory, processes: int, room: int) -> None:
    assert memory_room(gib, memory, processes) == room
