"""Loads pictures ahead of the training: threads decode, pinned memory and a stream of its own carry them over."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from streetvision.base.resources import usable_threads
from streetvision.engine.types import BadImage
from streetvision.errors import reason
from streetvision.sources.dataset import Example
from streetvision.sources.source import SourceError
from streetvision.training.batch import RawBatch
from streetvision.training.canvas_cache import CanvasCache
from streetvision.training.decoding import LIMITS, Canvas, decode_canvas
from streetvision.training.order import Indices, epoch_order, shard

CANVAS_SCALE = 2
"""Sides of the model's input that a canvas is long: a validator's smallest crop shows 0.45 of the picture's side."""
TRIES = 50
"""Replacements for a picture that cannot be read, before the whole set counts as unreadable."""


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
    """For decoding; None takes what the process may use."""
    ahead: int = 3
    """Batches that are decoded in advance."""


class _Place(NamedTuple):
    """Where in the run a picture stands; its replacement depends on nothing else."""

    epoch: int
    step: int
    row: int


class Loader:
    """Batches of examples, epoch by epoch.

    Iterating gives the rest of the present epoch from `position` on; after its last batch the position is the next
    epoch's start. `unreadable` tells which pictures were left out and why.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        loading: Loading,
        *,
        device: torch.device | str = "cpu",
        cache: CanvasCache | None = None,
    ) -> None:
        if not examples:
            raise SourceError("There is no picture to load; see `streetvision data list`.")
        self.examples, self.loading, self.device, self.cache = list(examples), loading, torch.device(device), cache
        self.position = (0, 0)
        """Epoch, and batches of it that were handed out."""
        self.unreadable: dict[Path, str] = {}
        self._labels = np.array([example.label for example in self.examples])

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
        for step, raw in enumerate(_carried(self._loaded(epoch, start, batches), self.device), start + 1):
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

    def _loaded(self, epoch: int, start: int, batches: Sequence[Indices]) -> Iterator[RawBatch]:
        """Batches in host memory from number `start` on, some decoded ahead."""
        pool = ThreadPoolExecutor(self.loading.threads or usable_threads(), thread_name_prefix="decode")
        waiting: deque[tuple[RawBatch, list[Future[None]]]] = deque()
        try:
            for step in range(start, len(batches) + self.loading.ahead):
                if step < len(batches):
                    waiting.append(self._submit(pool, epoch, step, batches[step]))
                if step >= start + self.loading.ahead and waiting:
                    yield _finished(*waiting.popleft())
            while waiting:
                yield _finished(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _submit(
        self, pool: ThreadPoolExecutor, epoch: int, step: int, indices: Indices
    ) -> tuple[RawBatch, list[Future[None]]]:
        raw = _empty(len(indices), self.loading.canvas, pinned=self.device.type == "cuda")
        places = [_Place(epoch, step, row) for row in range(len(indices))]
        tasks = [pool.submit(self._fill, raw, place, int(i)) for place, i in zip(places, indices, strict=True)]
        return raw, tasks

    def _fill(self, raw: RawBatch, place: _Place, index: int) -> None:
        """Write one example, or what replaces it, into its row."""
        for candidate in self._candidates(index, place):
            canvas = self._canvas(candidate)
            if canvas is not None:
                self._write(raw, place.row, candidate, canvas)
                return
        raise SourceError(
            f"{TRIES} pictures in a row could not be read, the last one {self.examples[index].path}: "
            f"{self.unreadable[self.examples[index].path]}. Check the set with `streetvision data check`."
        )

    def _candidates(self, index: int, place: _Place) -> Iterable[int]:
        """The example itself, then others of its label, the same ones at each repetition of the run."""
        yield index
        alike = np.flatnonzero(self._labels == self._labels[index])
        yield from np.random.default_rng((self.loading.seed, 3, self.loading.rank, *place)).choice(alike, TRIES)

    def _canvas(self, index: int) -> Canvas | None:
        path = self.examples[index].path
        if path in self.unreadable:
            return None
        kept = self.cache.get(index) if self.cache else None
        if kept is not None:
            return kept
        try:
            canvas = decode_canvas(_read(path), self.loading.canvas)
        except (BadImage, OSError) as error:
            self.unreadable[path] = reason(error) if isinstance(error, OSError) else str(error)
            return None
        if self.cache:
            self.cache.put(index, canvas)
        return canvas

    def _write(self, raw: RawBatch, row: int, index: int, canvas: Canvas) -> None:
        raw.images.numpy()[row] = canvas.pixels
        raw.sizes[row] = torch.tensor((canvas.width, canvas.height))
        raw.labels[row] = float(self.examples[index].label)
        raw.weights[row] = self.examples[index].weight
        raw.indices[row] = index


def _read(path: Path) -> bytes:
    """The file's bytes, one more than the limit at most: the decoder then refuses them."""
    with path.open("rb") as file:
        return file.read(LIMITS.max_bytes + 1)


def _empty(count: int, side: int, *, pinned: bool) -> RawBatch:
    """Memory to decode into. Torch keeps pinned memory until its copy to the device is done."""
    return RawBatch(
        images=torch.empty((count, side, side, 3), dtype=torch.uint8, pin_memory=pinned),
        sizes=torch.empty((count, 2), dtype=torch.int32, pin_memory=pinned),
        labels=torch.empty(count, pin_memory=pinned),
        weights=torch.empty(count, pin_memory=pinned),
        indices=torch.empty(count, dtype=torch.int64, pin_memory=pinned),
    )


def _finished(raw: RawBatch, tasks: Sequence[Future[None]]) -> RawBatch:
    for task in tasks:
        task.result()
    return raw


def _carried(batches: Iterator[RawBatch], device: torch.device) -> Iterator[RawBatch]:
    """The same batches on the device, one copied in advance while the one before is worked on."""
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    arriving: tuple[RawBatch, torch.cuda.Event] | None = None
    for raw in batches:
        with torch.cuda.stream(stream):
            sent = (raw.to(device), stream.record_event())
        if arriving is not None:
            yield _handed_over(*arriving)
        arriving = sent
    if arriving is not None:
        yield _handed_over(*arriving)


def _handed_over(raw: RawBatch, arrival: torch.cuda.Event) -> RawBatch:
    """Let the present stream wait for the copy, and keep its memory until that stream is done with it."""
    present = torch.cuda.current_stream(raw.images.device)
    present.wait_event(arrival)
    for one in fields(raw):
        getattr(raw, one.name).record_stream(present)
    return raw
