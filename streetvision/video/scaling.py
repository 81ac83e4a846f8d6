"""From a decoded frame to upright RGB arrays of the size that is needed: one pass of swscale, in any pixel format.

The colours of HD video that does not say how they are coded are taken as BT.709, as players do.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg

from streetvision.engine.types import ImageArray
from streetvision.engine.views import Eye
from streetvision.video.choosing import LUMA_SIDE, Luma

if TYPE_CHECKING:
    import av

UNSPECIFIED = 2
"""AVCOL_SPC_UNSPECIFIED of libavutil."""
HD_ROWS = 720
_FILTERS = {
    "nearest": "POINT",
    "box": "AREA",
    "bilinear": "BILINEAR",
    "hamming": "BILINEAR",
    "bicubic": "BICUBIC",
    "lanczos": "LANCZOS",
}
"""swscale's filters by Pillow's names; like Pillow's they widen when they shrink a picture."""
JPEG_QUALITY = 90


class FrameScaler:
    """Scales the frames of one video; keeps swscale's tables between frames of one form."""

    def __init__(self, aspect: Fraction | None = None) -> None:
        """`aspect` is a pixel's width by its height, as the stream says it."""
        from av.video.reformatter import VideoReformatter

        self._aspect = float(aspect) if aspect else 1.0
        self._luma, self._input, self._picture = VideoReformatter(), VideoReformatter(), VideoReformatter()

    def luma(self, frame: av.VideoFrame) -> Luma:
        """The grey thumbnail by which changes are found."""
        small = self._luma.reformat(frame, LUMA_SIDE, LUMA_SIDE, format="gray", interpolation="AREA")
        return np.ascontiguousarray(small.to_ndarray(), dtype=np.uint8)

    def model_input(self, frame: av.VideoFrame, eye: Eye) -> ImageArray:
        """uint8 RGB [size, size, 3] as the model takes it: squashed, or the central square."""
        if eye.rule == "squash":
            return self._upright(self._input, frame, eye.size, eye.size, eye.resample)
        width, height = self._shape(frame, eye.size, of_short_side=True)
        array = self._upright(self._input, frame, width, height, eye.resample)
        top, left = (array.shape[0] - eye.size) // 2, (array.shape[1] - eye.size) // 2
        return np.ascontiguousarray(array[top : top + eye.size, left : left + eye.size])

    def picture(self, frame: av.VideoFrame, longest: int | None = None) -> ImageArray:
        """uint8 RGB [height, width, 3], upright with square pixels, at most `longest` on a side."""
        width, height = self._shape(frame, None, of_short_side=False)
        if longest is not None and max(width, height) > longest:
            width, height = self._shape(frame, longest, of_short_side=False)
        return self._upright(self._picture, frame, width, height, "bicubic")

    def _shape(self, frame: av.VideoFrame, side: int | None, *, of_short_side: bool) -> tuple[int, int]:
        """Width and height as stored, with square pixels, scaled until the short or long side is `side`."""
        width, height = frame.width * self._aspect, float(frame.height)
        one = min(width, height) if of_short_side else max(width, height)
        scale = 1.0 if side is None else side / one
        return max(1, round(width * scale)), max(1, round(height * scale))

    def _upright(self, scaler: Any, frame: av.VideoFrame, width: int, height: int, resample: str) -> ImageArray:  # noqa: ANN401 - PyAV types it loosely
        from av.video.reformatter import Interpolation

        small = scaler.reformat(
            frame,
            width,
            height,
            format="rgb24",
            src_colorspace=_colours(frame),
            interpolation=Interpolation[_FILTERS[resample]] | Interpolation.ACCURATE_RND,
            threads=1,
        )
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(small.to_ndarray(), turns), dtype=np.uint8)


def jpeg(picture: ImageArray, quality: int = JPEG_QUALITY) -> bytes:
    """Encode an RGB array [height, width, 3]."""
    return bytes(simplejpeg.encode_jpeg(picture, quality, "RGB"))


def _colours(frame: av.VideoFrame) -> str | None:
    unknown = int(frame.colorspace) == UNSPECIFIED
    return "ITU709" if unknown and frame.height >= HD_ROWS else None
