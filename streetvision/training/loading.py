"""Loads pictures ahead of the training: threads read and decode, or leave that to a GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from streetvision.base.resources import usable_threads
from streetvision.sources.dataset import Example
from streetvision.sources.source import SourceError
from streetvision.training.batch import RawBatch
from streetvision.training.canvas_cache import CanvasCache
from streetvision.training.carrying import HostBatch, carried
from streetvision.training.gpu_decoding import can_decode
from streetvision.training.order import Indices, epoch_order, shard
from streetvision.training.reading import Picture, PictureReader, Place

CANVAS_SCALE = 2
"""Sides of the model's input that a canvas is long: a validator's smallest crop shows 0.45 of the picture's side."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How pictures are loaded."""

    batch: int
    """Pictures of one batch on this rank."""
    canvas: int
    """Side of the canvases in pixels."""
    seed: int = 0
    shuffle: bool = True
    """Random order and whole batches only; else every picture once, in the examples' order."""
    positive_share: float | None = None
    """Share of pictures with roadwork where shuffled; None leaves it as it is."""
    rank: int = 0
    world: int = 1
    threads: int | None = None
    """For reading and decoding; None takes what the process may use."""
    ahead: int = 3
    """Batches that are read in advance."""
    decoder: str = "cpu"
    """`gpu` lets a GPU decode plain JPEGs where it can and no cache is given."""


class _Pending(NamedTuple):
    """A batch that threads are filling; each tells the JPEG that it leaves to the GPU."""

    raw: RawBatch
    indices: Indices
    places: list[Place]
    tasks: list[Future[bytes | None]]


class Loader:
    """Batches of examples, epoch by epoch.

    Iterating gives the rest of the present epoch from `position` on; after its last batch the position is the next
    epoch's start.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        loading: Loading,
        *,
        device: torch.device | str = "cpu",
        cache: CanvasCache | None = None,
    ) -> None:
        """A `cache` keeps what was decoded, so that only the first epoch decodes."""
        if not examples:
            raise SourceError("there is no picture to load: see `streetvision data list`")
        self.examples, self.loading, self.device = list(examples), loading, torch.device(device)
        self.position = (0, 0)
        """Epoch, and batches of it that were handed out."""
        self._labels = np.array([example.label for example in self.examples])
        seed = (loading.seed, 3, loading.rank)
        self._reader = PictureReader(self.examples, loading.canvas, seed=seed, cache=cache)
        self._for_gpu = loading.decoder == "gpu" and cache is None and can_decode(self.device)

    @property
    def unreadable(self) -> dict[Path, str]:
        """Pictures that were left out, and why."""
        return self._reader.unreadable

    def __len__(self) -> int:
        """Batches of an epoch."""
        whole = self.loading.batch * self.loading.world
        if self.loading.shuffle:
            return max(1, len(self.examples) // whole)
        return len(self._batches(0))

    def __iter__(self) -> Iterator[RawBatch]:
        """RawBatch on the device; raises SourceError when hardly anything can be read."""
        epoch, start = self.position
        batches = self._batches(epoch)
        loaded = self._loaded(epoch, start, batches)
        on_gpu = self.device.type == "cuda"
        ready = carried(loaded, self.device) if on_gpu else (batch.raw for batch in loaded)
        for step, raw in enumerate(ready, start + 1):
            self.position = (epoch, step) if step < len(batches) else (epoch + 1, 0)
            yield raw

    def state_dict(self) -> dict[str, int]:
        """The position, for a checkpoint."""
        return dict(zip(("epoch", "batch"), self.position, strict=True))

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position."""
        self.position = (state["epoch"], state["batch"])

    def _batches(self, epoch: int) -> list[Indices]:
        how = self.loading
        order = np.arange(len(self.examples))
        if how.shuffle:
            count = max(1, len(order) // (how.batch * how.world)) * how.batch * how.world
            order = epoch_order(self._labels, count, seed=how.seed, epoch=epoch, positive_share=how.positive_share)
        return shard(order, how.batch, rank=how.rank, world=how.world)

    def _loaded(self, epoch: int, start: int, batches: Sequence[Indices]) -> Iterator[HostBatch]:
        """Batches in host memory from number `start` on, some read ahead."""
        pool = ThreadPoolExecutor(self.loading.threads or usable_threads(), thread_name_prefix="decode")
        waiting: deque[_Pending] = deque()
        try:
            for step in range(start, len(batches)):
                waiting.append(self._submit(pool, epoch, step, batches[step]))
                if len(waiting) > self.loading.ahead:
                    yield self._finished(waiting.popleft())
            while waiting:
                yield self._finished(waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, epoch: int, step: int, indices: Indices) -> _Pending:
        raw = _empty(len(indices), self.loading.canvas, pinned=self.device.type == "cuda")
        places = [Place(epoch, step, row) for row in range(len(indices))]
        work = zip(indices.tolist(), places, strict=True)
        return _Pending(raw, indices, places, [pool.submit(self._fill, raw, *one, self._for_gpu) for one in work])

    def _fill(self, raw: RawBatch, index: int, place: Place, for_gpu: bool) -> bytes | None:
        """Read one example, or what replaces it, into its row; the JPEG where the GPU is to decode it."""
        picture = self._reader.read(index, place, for_gpu=for_gpu)
        self._write(raw, place.row, picture)
        return picture.jpeg

    def _write(self, raw: RawBatch, row: int, picture: Picture) -> None:
        """Through numpy: many threads wait for Python's lock while torch finds its way to one number."""
        if picture.pixels is not None:
            raw.images.numpy()[row] = picture.pixels
        raw.sizes.numpy()[row] = (picture.width, picture.height)
        raw.labels.numpy()[row] = self.examples[picture.index].label
        raw.weights.numpy()[row] = self.examples[picture.index].weight
        raw.indices.numpy()[row] = picture.index

    def _finished(self, pending: _Pending) -> HostBatch:
        found = enumerate(task.result() for task in pending.tasks)

        def read_again(row: int) -> None:
            self._fill(pending.raw, int(pending.indices[row]), pending.places[row], False)

        return HostBatch(pending.raw, {row: jpeg for row, jpeg in found if jpeg is not None}, read_again)


def _empty(count: int, side: int, *, pinned: bool) -> RawBatch:
    """Memory to read into. Torch keeps pinned memory until its copy to the device is done."""
    return RawBatch(
        images=torch.empty((count, side, side, 3), dtype=torch.uint8, pin_memory=pinned),
        sizes=torch.empty((count, 2), dtype=torch.int32, pin_memory=pinned),
        labels=torch.empty(count, pin_memory=pinned),
        weights=torch.empty(count, pin_memory=pinned),
        indices=torch.empty(count, dtype=torch.int64, pin_memory=pinned),
    )
