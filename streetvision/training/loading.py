"""Loads pictures ahead of the training: threads or processes read and decode, or leave that to a GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from streetvision.base.resources import usable_threads
from streetvision.sources.dataset import Example
from streetvision.sources.source import SourceError
from streetvision.training.batch import RawBatch
from streetvision.training.carrying import HostBatch, carried
from streetvision.training.decode_pool import DecodePool
from streetvision.training.decoding import Canvas
from streetvision.training.filling import AtOnce, ByProcesses, ByThreads, Filling, RowWriter, Unfilled
from streetvision.training.gpu_decoding import can_decode
from streetvision.training.order import Indices, epoch_order, shard
from streetvision.training.reading import Canvases, PictureReader, Place

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
    """`gpu` lets a GPU decode plain JPEGs where it can."""


class _Pending(NamedTuple):
    """A batch that is being filled."""

    batch: Unfilled
    fillings: list[Filling]


class _Rows:
    """What becomes of the rows that were left to a GPU."""

    def __init__(self, batch: Unfilled, writer: RowWriter, keeps: bool) -> None:
        self._batch, self._writer, self.keeps = batch, writer, keeps

    def read_again(self, row: int) -> None:
        """Fill a row by the processor alone, for a JPEG that the GPU refuses."""
        self._writer.fill(self._batch, row)

    def keep(self, row: int) -> None:
        """Keep what the GPU decoded and the row now holds."""
        raw = self._batch.raw
        width, height = raw.sizes[row].tolist()
        self._writer.reader.decoded(int(raw.indices[row]), Canvas(raw.images.numpy()[row], width, height))


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
        cache: Canvases | None = None,
        pool: DecodePool | None = None,
    ) -> None:
        """A `cache` keeps what was decoded, so that only the first epoch decodes; a `pool` decodes in place of threads.

        A batch of the pool's is as large as the loader's at least.
        """
        if not examples:
            raise SourceError("there is no picture to load: see `streetvision data list`")
        self.examples, self.loading, self.device = list(examples), loading, torch.device(device)
        self.position = (0, 0)
        """Epoch, and batches of it that were handed out."""
        self._labels = np.array([example.label for example in self.examples])
        seed = (loading.seed, 3, loading.rank)
        self._reader = PictureReader(self.examples, loading.canvas, seed=seed, cache=cache)
        self._writer = RowWriter(self.examples, self._reader)
        self._cache, self._pool = cache, pool
        # What lies on the disk is the processor's, which other runs go on with.
        for_gpu = loading.decoder == "gpu" and (cache is None or cache.instant)
        self._for_gpu = for_gpu and can_decode(self.device)

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
        threads = ThreadPoolExecutor(self.loading.threads or usable_threads(), thread_name_prefix="decode")
        waiting: deque[_Pending] = deque()
        try:
            for step in range(start, len(batches)):
                waiting.append(self._begin(threads, epoch, step, batches[step]))
                if len(waiting) > self.loading.ahead:
                    yield self._finished(waiting.popleft())
            while waiting:
                yield self._finished(waiting.popleft())
        finally:
            for pending in waiting:
                for filling in pending.fillings:
                    filling.abandon()
            threads.shutdown(cancel_futures=True)

    def _begin(self, threads: ThreadPoolExecutor, epoch: int, step: int, indices: Indices) -> _Pending:
        raw = _empty(len(indices), self.loading.canvas, pinned=self.device.type == "cuda")
        batch = Unfilled(raw, indices, [Place(epoch, step, row) for row in range(len(indices))])
        there = {row for row, index in enumerate(indices.tolist()) if self._is_there(index)}
        pooled = {} if self._pool is None or self._for_gpu else self._to_decode(batch, there)
        rest = [row for row in range(len(indices)) if row not in there and row not in pooled]
        fillings: list[Filling] = [ByThreads(batch, rest, self._writer, threads, for_gpu=self._for_gpu)]
        if self._pool is not None and pooled:
            fillings.append(ByProcesses(batch, pooled, self._writer, self._pool))
        return _Pending(batch, [*fillings, AtOnce(batch, sorted(there), self._writer)])

    def _is_there(self, index: int) -> bool:
        return self._cache is not None and self._cache.instant and self._cache.has(index)

    def _to_decode(self, batch: Unfilled, there: Container[int]) -> dict[int, Path]:
        """Files by row that a pool shall decode."""
        absent = ((row, index) for row, index in enumerate(batch.indices.tolist()) if row not in there)
        found = ((row, self._reader.to_decode(index)) for row, index in absent)
        return {row: path for row, path in found if path is not None}

    def _finished(self, pending: _Pending) -> HostBatch:
        jpegs: dict[int, bytes] = {}
        for filling in pending.fillings:
            jpegs |= filling.finish()
        return HostBatch(pending.batch.raw, jpegs, _Rows(pending.batch, self._writer, self._cache is not None))


def _empty(count: int, side: int, *, pinned: bool) -> RawBatch:
    """Memory to read into. Torch keeps pinned memory until its copy to the device is done."""
    return RawBatch(
        images=torch.empty((count, side, side, 3), dtype=torch.uint8, pin_memory=pinned),
        sizes=torch.empty((count, 2), dtype=torch.int32, pin_memory=pinned),
        labels=torch.empty(count, pin_memory=pinned),
        weights=torch.empty(count, pin_memory=pinned),
        indices=torch.empty(count, dtype=torch.int64, pin_memory=pinned),
    )
