"""Single pictures of a video at given times: for thumbnails, for what is kept to learn from, for a search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

import numpy as np

from streetvision.engine.types import ImageArray
from streetvision.video.reading import Decoded, VideoError, VideoReader
from streetvision.video.record import Record
from streetvision.video.scaling import FrameScaler, jpeg

EXACT = 1e-3
"""Seconds: times of frames are kept as floating point."""
NEAR = 15.0
"""Seconds: the next picture within them is reached by reading on, a later one by a jump."""


MOST = 48
"""Thumbnails of one video."""
SIDE, QUALITY = 320, 70
"""Longer side of a thumbnail in pixels, and its JPEG's quality."""


def illustrate(reader: VideoReader, record: Record) -> None:
    """Keep thumbnails of where each segment begins and of its surest frame; of the longest ones where there are many.

    What cannot be decoded a second time is left out.
    """
    longest = sorted(record.segments(), key=lambda one: one.start - one.end)[: MOST // 2]
    answered, _ = record.series()
    times = {float(time) for one in longest for time in (answered[np.searchsorted(answered, one.start)], one.peak)}
    shown = stills(reader, times, longest=SIDE, searchable=record.searchable)
    record.set_thumbnails({time: jpeg(picture, QUALITY) for time, picture in shown})


def stills(
    reader: VideoReader, times: Iterable[float], *, longest: int | None = None, searchable: bool = True
) -> Iterator[tuple[float, ImageArray]]:
    """For each time the first decodable frame at or after it, uint8 RGB [height, width, 3]; none past the end.

    Times are taken in ascending order. `longest` bounds the longer side in pixels. Where times are not the file's own
    (`Position.searchable`), all of it is read.
    """
    reader.rewind()
    scaler, frames = FrameScaler(reader.aspect), reader.frames()
    now: Decoded | None = None
    for time in sorted(times):
        if searchable and time - (0.0 if now is None else now.time) > NEAR:
            frames, now = _from(reader, time), None
        while now is None or now.time < time - EXACT:
            now = next(frames, None)
            if now is None:
                return
        yield time, scaler.picture(now.frame, longest)


def _from(reader: VideoReader, time: float) -> Iterator[Decoded]:
    """Frames from somewhere at or before a time; from where reading stands in a file that cannot be searched."""
    with suppress(VideoError):
        reader.jump(time)
    return reader.frames()
