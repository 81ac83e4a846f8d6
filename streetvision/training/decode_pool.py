"""Processes that decode pictures into shared memory.

Threads of one process decode little faster than a few of them: each allocates and frees megabytes in one address
space, and takes Python's lock a dozen times a picture (benchmarks/training.py). The memory is anonymous: /dev/shm,
of which a container has 64 MiB, is not used.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import reduction
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from streetvision.base.process_pool import process_pool, worker_context
from streetvision.base.resources import usable_threads
from streetvision.engine.types import BadImage
from streetvision.errors import reason
from streetvision.training.canvas_memory import canvas_bytes, local_processes
from streetvision.training.decoding import read_canvas

OTHERS = 2
"""Processors that are left to the training itself."""
FEWEST = 3
"""Processes below which threads do as well."""
CHUNK = 4
"""Pictures that a process is given at a time."""
PRELOADED = ["streetvision.training.decode_pool"]
"""A server that has imported torch once is forked, for all processes."""
Told = tuple[int, int] | str
"""Width and height of a picture whose canvas was written, or why it cannot be read."""


class Slot(NamedTuple):
    """A picture to decode, and which canvas of the memory it fills."""

    number: int
    path: Path


class DecodePool:
    """Decodes batches of up to `batch` pictures into areas of shared memory; `areas` are there at a time.

    When a process dies, as the system may end one that is short of memory, `problem` says so, `tell` hears of it once,
    and whatever is asked of it fails from then on with BrokenProcessPool.
    """

    def __init__(self, workers: int, batch: int, side: int, *, areas: int, tell: Callable[[str], None]) -> None:
        self.problem = ""
        self._batch, self._tell = batch, tell
        self._memory = SharedMemory(areas * batch * canvas_bytes(side))
        self._canvases = self._memory.canvases(side)
        self._free: SimpleQueue[int] = SimpleQueue()
        for area in range(areas):
            self._free.put(area)
        context = worker_context(PRELOADED)
        self._processes = process_pool(workers, begin=_begin, arguments=(self._memory, side), context=context)

    def take(self) -> int:
        """An area that nobody uses; waits for one."""
        return self._free.get()

    def release(self, area: int) -> None:
        """Give an area back that nothing is decoded into any more."""
        self._free.put(area)

    def canvas(self, area: int, row: int) -> NDArray[np.uint8]:
        """uint8 RGB [C, C, 3] of a row of an area."""
        pixels: NDArray[np.uint8] = self._canvases[area * self._batch + row]
        return pixels

    def decode(self, area: int, pictures: Sequence[tuple[int, Path]]) -> list[Future[list[Told]]]:
        """Begin to decode pictures into their rows of an area: a future for every CHUNK of them."""
        slots = [Slot(area * self._batch + row, path) for row, path in pictures]
        return [self._submit(slots[start : start + CHUNK]) for start in range(0, len(slots), CHUNK)]

    def broke(self) -> None:
        """Note that a process has died."""
        if not self.problem:
            self.problem = (
                "a process that decodes pictures was ended, as the system does when memory runs out; the training goes "
                "on and decodes more slowly: set run.workers or run.cache_gib lower"
            )
            self._tell(self.problem)

    def close(self) -> None:
        """End the processes and let go of the memory."""
        self._processes.shutdown(cancel_futures=True)
        self._memory.close()

    def _submit(self, slots: Sequence[Slot]) -> Future[list[Told]]:
        try:
            return self._processes.submit(_decode, slots)
        except BrokenProcessPool as error:
            failed: Future[list[Told]] = Future()
            failed.set_exception(error)
            return failed


def pool_workers(wanted: int, device: torch.device) -> int:
    """How many processes shall decode: `wanted`, or those that pay where that is below 0; 0: threads instead.

    A training on the processor leaves none over.
    """
    if not hasattr(os, "memfd_create"):  # Linux alone
        return 0
    if wanted >= 0:
        return wanted
    spare = usable_threads() // local_processes() - OTHERS
    return spare if device.type == "cuda" and spare >= FEWEST else 0


class SharedMemory:
    """Anonymous memory that processes inherit by its descriptor."""

    def __init__(self, size: int, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("canvases")
            os.ftruncate(descriptor, size)
        self._size, self._descriptor = size, descriptor
        self._map = mmap.mmap(descriptor, size)

    def __reduce__(self) -> tuple[Any, ...]:
        return _inherited, (self._size, reduction.DupFd(self._descriptor))

    def canvases(self, side: int) -> NDArray[np.uint8]:
        """uint8 [N, side, side, 3], all of it."""
        return np.frombuffer(self._map, np.uint8).reshape(-1, side, side, 3)

    def close(self) -> None:
        """Close the descriptor; the memory goes with the last array over it."""
        os.close(self._descriptor)


def _inherited(size: int, descriptor: Any) -> SharedMemory:  # noqa: ANN401  # multiprocessing's own
    return SharedMemory(size, descriptor.detach())


_attached: list[NDArray[np.uint8]] = []
"""The canvases, in a process of the pool."""


def _begin(memory: SharedMemory, side: int) -> None:
    """In a process of the pool."""
    torch.set_num_threads(1)
    _attached[:] = [memory.canvases(side)]


def _decode(slots: Sequence[Slot]) -> list[Told]:
    return [_decoded(slot) for slot in slots]


def _decoded(slot: Slot) -> Told:
    (canvases,) = _attached
    try:
        canvas = read_canvas(slot.path, canvases.shape[1])
    except (BadImage, OSError) as error:
        return reason(error)
    canvases[slot.number] = canvas.pixels
    return canvas.width, canvas.height
