"""A short clip of a video as MP4: what Pegasus is sent. Without sound, and small: nobody's voice is needed."""

from __future__ import annotations

import io
from fractions import Fraction

import av

from streetvision.video.reading import VideoReader
from streetvision.video.smoothing import Segment
from streetvision.video.stills import stills

LONGEST_S, SHORTEST_S = 30.0, 4.0
"""Seconds of a clip: of a longer segment the part around its surest frame; a shorter one is widened."""
FPS = 8
SIDE = 640
"""Longer side in pixels."""
_BASE = Fraction(1, 1000)


def clip_span(segment: Segment, seconds: float) -> tuple[float, float]:
    """Where a segment's clip begins and ends, within a video of that length."""
    length = min(max(segment.end - segment.start, SHORTEST_S), LONGEST_S, seconds)
    middle = segment.peak if segment.end - segment.start > LONGEST_S else (segment.start + segment.end) / 2.0
    start = min(max(0.0, middle - length / 2.0), max(0.0, seconds - length))
    return start, start + length


def cut(reader: VideoReader, start: float, end: float, *, searchable: bool) -> bytes:
    """The stretch as H.264 in MP4, `FPS` frames a second; empty where none of it can be decoded."""
    count = max(2, round((end - start) * FPS))
    times = [start + place / FPS for place in range(count)]
    out, stream = io.BytesIO(), None
    with av.open(out, "w", format="mp4") as container:
        for time, picture in stills(reader, times, longest=SIDE, searchable=searchable):
            even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
            if stream is None:
                stream = container.add_stream("libx264", rate=FPS, options={"crf": "26", "preset": "veryfast"})
                stream.height, stream.width = even.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = _BASE
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            frame.pts, frame.time_base = round((time - start) * 1000), _BASE
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode())
    return out.getvalue() if stream is not None else b""
