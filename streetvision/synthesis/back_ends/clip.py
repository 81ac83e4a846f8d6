"""A still as a short clip, and a frame of a clip, by PyAV; what comes back is bounded in pixels and frames."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from itertools import islice

import numpy as np

from streetvision.engine.decode import DecodeLimits
from streetvision.errors import OperatorError
from streetvision.synthesis.back_end import Declined
from streetvision.synthesis.pixels import read_pixels, write_pixels

FRAMES, RATE = 25, 24
WIDEST = 1280


def require_av() -> None:
    """OperatorError where PyAV is not installed."""
    if find_spec("av") is None:
        raise OperatorError("cosmos takes clips, which PyAV makes: pip install 'streetvision[video]'")


def still_clip(picture: bytes) -> bytes:
    """The picture, FRAMES times, as an MP4 of H.264; its sides are cut to even numbers."""
    require_av()
    import av

    pixels = read_pixels(picture, WIDEST)
    height, width = (length - length % 2 for length in pixels.shape[:2])
    levels = np.ascontiguousarray(pixels[:height, :width] * 255.0 + 0.5, np.uint8)
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(levels, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return buffer.getvalue()


def frame_of(clip: bytes) -> bytes:
    """The frame as far in as the middle of a still clip, as a JPEG; Declined for bytes that are no such clip."""
    require_av()
    import av

    try:
        with av.open(BytesIO(clip), "r", format="mp4") as opened:
            stream = opened.streams.video[0]
            if not 0 < stream.width * stream.height <= DecodeLimits().max_pixels:
                raise Declined("the clip's frames are too large")
            frames = list(islice(opened.decode(stream), FRAMES // 2, FRAMES // 2 + 1))
            if not frames:
                raise Declined("the clip holds too few frames")
            return write_pixels(frames[0].to_ndarray(format="rgb24").astype(np.float32) / np.float32(255.0))
    except (av.error.FFmpegError, LookupError, ValueError, MemoryError):
        raise Declined("the answer's clip cannot be read") from None
