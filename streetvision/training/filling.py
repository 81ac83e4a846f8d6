"""How the rows of a batch are filled: by threads of this process, or by processes that decode for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from streetvision.sources.dataset import Example
from streetvision.training.batch import RawBatch
from streetvision.training.decode_pool import DecodePool, Told
from streetvision.training.decoding import Canvas
from streetvision.training.order import Indices
from streetvision.training.reading import Picture, PictureReader, Place


class Unfilled(NamedTuple):
    """A batch whose memory is there and whose pictures are not."""

    raw: RawBatch
    indices: Indices
    """Of the examples, by row."""
    places: Sequence[Place]


class Filling(Protocol):
    """A batch that is being filled."""

    def finish(self) -> Mapping[int, bytes]:
        """Wait until it is full; JPEGs that are left to the GPU, by row."""

    def abandon(self) -> None:
        """End as soon as may be what was begun for it."""


class RowWriter:
    """Reads examples into the rows of batches."""

    def __init__(self, examples: Sequence[Example], reader: PictureReader) -> None:
        self.reader, self._examples = reader, examples

    def fill(self, batch: Unfilled, row: int, *, for_gpu: bool = False) -> bytes | None:
        """Read a row's example, or what replaces it; the JPEG where the GPU is to decode it."""
        picture = self.reader.read(int(batch.indices[row]), batch.places[row], for_gpu=for_gpu)
        self.write(batch.raw, row, picture)
        return picture.jpeg

    def write(self, raw: RawBatch, row: int, picture: Picture) -> None:
        """Through numpy: many threads wait for Python's lock while torch finds its way to one number."""
        if picture.pixels is not None:
            raw.images.numpy()[row] = picture.pixels
        raw.sizes.numpy()[row] = (picture.width, picture.height)
        raw.labels.numpy()[row] = self._examples[picture.index].label
        raw.weights.numpy()[row] = self._examples[picture.index].weight
        raw.indices.numpy()[row] = picture.index


class AtOnce:
    """Rows whose pictures are in memory already, filled when the batch is wanted."""

    def __init__(self, batch: Unfilled, rows: Sequence[int], writer: RowWriter) -> None:
        self._batch, self._rows, self._writer = batch, rows, writer

    def finish(self) -> Mapping[int, bytes]:
        """As of Filling."""
        for row in self._rows:
            self._writer.fill(self._batch, row)
        return {}

    def abandon(self) -> None:
        """As of Filling: nothing was begun."""


class ByThreads:
    """A batch that threads fill, row by row."""

    def __init__(
        self, batch: Unfilled, rows: Sequence[int], writer: RowWriter, threads: ThreadPoolExecutor, *, for_gpu: bool
    ) -> None:
        def fill(row: int) -> bytes | None:
            return writer.fill(batch, row, for_gpu=for_gpu)

        self._tasks: dict[int, Future[bytes | None]] = {row: threads.submit(fill, row) for row in rows}

    def finish(self) -> Mapping[int, bytes]:
        """As of Filling."""
        found = {row: task.result() for row, task in self._tasks.items()}
        return {row: jpeg for row, jpeg in found.items() if jpeg is not None}

    def abandon(self) -> None:
        """As of Filling."""
        _end(list(self._tasks.values()))


class ByProcesses:
    """A batch whose pictures a pool of processes decodes; what they cannot read is replaced here."""

    def __init__(self, batch: Unfilled, pictures: Mapping[int, Path], writer: RowWriter, pool: DecodePool) -> None:
        self._batch, self._rows, self._writer, self._pool = batch, list(pictures), writer, pool
        self._area = pool.take()
        self._tasks = pool.decode(self._area, list(pictures.items()))

    def finish(self) -> Mapping[int, bytes]:
        """As of Filling."""
        try:
            for row, told in zip(self._rows, self._told(), strict=True):
                self._take_over(row, told)
        finally:
            self.abandon()
        return {}

    def abandon(self) -> None:
        """As of Filling."""
        _end(self._tasks)
        self._pool.release(self._area)

    def _told(self) -> list[Told | None]:
        """What became of each picture; None for all of them when the pool has come to its end."""
        try:
            return [one for task in self._tasks for one in task.result()]
        except (BrokenProcessPool, CancelledError):
            self._pool.broke()
            return [None] * len(self._rows)

    def _take_over(self, row: int, told: Told | None) -> None:
        index = int(self._batch.indices[row])
        if isinstance(told, str):
            self._writer.reader.leave_out(index, told)
        if told is None or isinstance(told, str):
            self._writer.fill(self._batch, row)
            return
        picture = self._writer.reader.decoded(index, Canvas(self._pool.canvas(self._area, row), *told))
        self._writer.write(self._batch.raw, row, picture)


def _end(tasks: Sequence[Future[Any]]) -> None:
    """Nothing writes any more after this."""
    wait([task for task in tasks if not task.cancel()])
