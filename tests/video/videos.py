"""Tiny videos, made by PyAV: bright frames stand for roadwork, dark ones for none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from streetvision.engine.types import ImageArray, RunnerOutput

Picture = NDArray[np.uint8]
SIZE = WIDTH, HEIGHT = 64, 48
RATE = 10
BRIGHT, DARK = 200, 50


def picture(level: int, seed: int, size: tuple[int, int] = SIZE) -> Picture:
    """Blocks about a level, no two seeds alike."""
    width, height = size
    blocks = np.random.default_rng(seed).integers(-20, 21, (height // 8, width // 8, 1))
    return (level + blocks.repeat(8, 0).repeat(8, 1).repeat(3, 2)).clip(0, 255).astype(np.uint8)


def levels(*stretches: tuple[int, float]) -> list[Picture]:
    """Frames of stretches (level, seconds), each unlike the one before."""
    flat = [level for level, seconds in stretches for _ in range(round(seconds * RATE))]
    return [picture(level, seed) for seed, level in enumerate(flat)]


def write_video(
    path: Path,
    frames: Iterable[Picture],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rotation: float | None = None,
    times: Sequence[float] | None = None,
    keyframes: int = RATE,
    rate: int = RATE,
    index_first: bool = False,
) -> Path:
    """Encode them; `times` in seconds makes the rate variable, `index_first` a cut file readable."""
    base = Fraction(1, 1000)
    options = {"movflags": "faststart"} if index_first else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = pixels
        stream.codec_context.gop_size = keyframes
        if rotation is not None:
            stream.set_display_rotation(rotation)
        frames = list(frames)
        stream.height, stream.width = frames[0].shape[:2]
        if times is not None:
            stream.codec_context.time_base = base
        for place, shown in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            if times is not None:
                frame.time_base, frame.pts = base, round(times[place] * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class Brightness:
    """A runner that takes bright pictures for roadwork."""

    version, input_size, resize, buckets = "bright-1", 16, "squash", (1, 8)

    def __init__(self, dies_after: int | None = None) -> None:
        self.seen, self._dies_after = 0, dies_after

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        return {}

    def run(self, images: ImageArray) -> RunnerOutput:
        if self._dies_after is not None and self.seen >= self._dies_after:
            raise KeyboardInterrupt
        self.seen += len(images)
        logits = (images.mean(axis=(1, 2, 3)) - 128.0) / 20.0
        return RunnerOutput(logits.astype(np.float32), np.zeros((len(images), 4), np.float32))
