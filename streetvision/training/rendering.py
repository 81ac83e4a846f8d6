"""Scenes from all cores: worker processes render into shared memory while the trainer trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from queue import Empty
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streetvision.base.process_pool import WorkerLost, begin_worker, worker_context
from streetvision.scenes.scenes import Scene, render_scene

MAX_OBJECTS = 8
"""Objects kept per scene, the largest first."""
OBJECT_FIELDS = 6
"""left, top, right, bottom, visible share, share of the picture over its legibility; all 0 where there is no object."""


@dataclass(frozen=True)
class Chunk:
    """Rendered scenes: images uint8 [N, H, W, 3], labels [N], objects float32 [N, MAX_OBJECTS, OBJECT_FIELDS]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.bool_]
    objects: NDArray[np.float32]


def pack_objects(scene: Scene) -> NDArray[np.float32]:
    """A scene's largest objects as float32 [MAX_OBJECTS, OBJECT_FIELDS]."""
    table = np.zeros((MAX_OBJECTS, OBJECT_FIELDS), np.float32)
    largest = sorted(scene.objects, key=lambda one: -one.area * one.visible)[:MAX_OBJECTS]
    for row, one in enumerate(largest):
        table[row] = (*one.box, one.visible, one.area / one.legible)
    return table


def render_chunk(first_seed: int, images: NDArray[np.uint8]) -> Chunk:
    """Render consecutive seeds into `images` [N, H, W, 3]."""
    count, height, width = images.shape[:3]
    labels, objects = np.zeros(count, np.bool_), np.zeros((count, MAX_OBJECTS, OBJECT_FIELDS), np.float32)
    for index in range(count):
        scene = render_scene(first_seed + index, size=(width, height))
        images[index], labels[index], objects[index] = scene.image, scene.roadwork, pack_objects(scene)
    return Chunk(images, labels, objects)


class SceneWorkers:
    """Processes that render seeds upward from `first_seed`; use as a context manager.

    Each chunk lies in a slot of shared memory that goes back to the workers after `poll`'s consumer is done with it.
    """

    def __init__(self, workers: int, *, size: tuple[int, int], first_seed: int, chunk: int = 32) -> None:
        context = worker_context()
        self._shape = (2 * workers + 2, chunk, size[1], size[0], 3)
        self._memory = context.RawArray("B", int(np.prod(self._shape)))
        self._slots = _as_slots(self._memory, self._shape)
        self._free: Queue[int] = context.Queue()
        self._ready: Queue[tuple[int, NDArray[np.bool_], NDArray[np.float32]]] = context.Queue()
        self._next = context.Value("q", first_seed)
        arguments = (self._memory, self._shape, self._free, self._ready, self._next)
        self._processes: list[BaseProcess] = [
            context.Process(target=_render_for_ever, args=arguments, daemon=True) for _ in range(workers)
        ]

    def __enter__(self) -> SceneWorkers:
        for slot in range(self._shape[0]):
            self._free.put(slot)
        for process in self._processes:
            process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        for queue in (self._free, self._ready):
            queue.close()
            queue.cancel_join_thread()

    def poll(self, consume: Callable[[Chunk], None], *, wait_s: float = 0.0) -> bool:
        """Hand one finished chunk to `consume`, which must copy what it keeps; False if none came within `wait_s`.

        Raises WorkerLost when a worker has died, since the others would wait for it in vain.
        """
        try:
            slot, labels, objects = self._ready.get(timeout=wait_s) if wait_s else self._ready.get_nowait()
        except Empty:
            if any(process.exitcode is not None for process in self._processes):
                raise WorkerLost from None
            return False
        consume(Chunk(self._slots[slot], labels, objects))
        self._free.put(slot)
        return True


def _as_slots(memory: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:  # noqa: ANN401  # ctypes array of bytes
    return np.frombuffer(memory, np.uint8).reshape(shape)


def _render_for_ever(memory: Any, shape: tuple[int, ...], free: Any, ready: Any, counter: Any) -> None:  # noqa: ANN401
    begin_worker()
    slots = _as_slots(memory, shape)
    while True:
        slot = free.get()
        with counter.get_lock():
            first = counter.value
            counter.value = first + shape[1]
        chunk = render_chunk(first, slots[slot])
        ready.put((slot, chunk.labels, chunk.objects))
