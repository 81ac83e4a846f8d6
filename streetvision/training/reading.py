"""Reads one example at a time, or another of its label where it cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.header import read_header
from streetvision.engine.types import BadImage
from streetvision.errors import reason
from streetvision.sources.dataset import Example
from streetvision.sources.source import SourceError
from streetvision.training.decoding import Canvas, decode_canvas, read_picture
from streetvision.training.gpu_decoding import suits

TRIES = 50
"""Replacements for a picture that cannot be read, before the whole set counts as unreadable."""


class Canvases(Protocol):
    """Where decoded pictures are kept, by the position of their examples. Threads may use it at the same time."""

    instant: bool
    """Whether a canvas is there without a wait."""

    def has(self, index: int) -> bool:
        """Whether the canvas of that example was kept; it may be damaged."""

    def get(self, index: int) -> Canvas | None:
        """It, to be read only; None where it is absent or damaged."""

    def put(self, index: int, canvas: Canvas) -> None:
        """Keep it where there is room."""

    def close(self) -> None:
        """Let go of what is held open."""


class Place(NamedTuple):
    """Where in the run a picture stands; what replaces it depends on nothing else."""

    epoch: int
    step: int
    row: int


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as it was read: a canvas, or a JPEG for the GPU to decode."""

    index: int
    """Which of the examples."""
    width: int
    height: int
    """True size in pixels, upright."""
    pixels: NDArray[np.uint8] | None
    """uint8 RGB [C, C, 3]."""
    jpeg: bytes | None = None


class PictureReader:
    """Threads may read at the same time. `unreadable` tells which pictures were left out and why."""

    def __init__(
        self, examples: Sequence[Example], canvas: int, *, seed: tuple[int, ...], cache: Canvases | None = None
    ) -> None:
        self.unreadable: dict[Path, str] = {}
        self._examples, self._canvas, self._seed, self._cache = examples, canvas, seed, cache
        self._labels = np.array([example.label for example in examples])

    def read(self, index: int, place: Place, *, for_gpu: bool) -> Picture:
        """That example or its replacement; `for_gpu` leaves plain JPEGs encoded. SourceError when none can be read."""
        for candidate in self._candidates(index, place):
            picture = self._read(candidate, for_gpu=for_gpu)
            if picture is not None:
                return picture
        path = self._examples[index].path
        raise SourceError(
            f"{TRIES} pictures in a row could not be read, among them {path} ({self.unreadable[path]}): "
            "check the set with `streetvision data check`"
        )

    def to_decode(self, index: int) -> Path | None:
        """The file of an example that is not kept and was not found unreadable; None for the others."""
        path = self._examples[index].path
        return None if path in self.unreadable or (self._cache and self._cache.has(index)) else path

    def decoded(self, index: int, canvas: Canvas) -> Picture:
        """An example that was decoded elsewhere, kept where there is room."""
        if self._cache:
            self._cache.put(index, canvas)
        return Picture(index, canvas.width, canvas.height, canvas.pixels)

    def leave_out(self, index: int, why: str) -> None:
        """Note that an example cannot be read."""
        self.unreadable[self._examples[index].path] = why

    def _candidates(self, index: int, place: Place) -> Iterable[int]:
        """The example itself, then others of its label, the same ones at each repetition of the run."""
        yield index
        alike = np.flatnonzero(self._labels == self._labels[index])
        yield from np.random.default_rng((*self._seed, *place)).choice(alike, TRIES)

    def _read(self, index: int, *, for_gpu: bool) -> Picture | None:
        path = self._examples[index].path
        if path in self.unreadable:
            return None
        kept = self._cache.get(index) if self._cache else None
        if kept is not None:
            return Picture(index, kept.width, kept.height, kept.pixels)
        try:
            data = read_picture(path)
            if for_gpu and suits(header := read_header(data)):
                return Picture(index, header.width, header.height, None, header.stream)
            return self.decoded(index, decode_canvas(data, self._canvas))
        except (BadImage, OSError) as error:
            self.leave_out(index, reason(error))
            return None
