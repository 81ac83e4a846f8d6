"""A video file opened to be read: how its decoder is set, what it says of itself, why it cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from streetvision.base.defaults import MAX_MEGAPIXELS
from streetvision.base.resources import usable_threads
from streetvision.video.clock import FrameClock
from streetvision.video.reading import MAX_PIXELS, VideoError, VideoFacts, VideoReader, words_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream


@contextmanager
def open_video(path: Path, *, keyframes: bool = False, exact: bool = False, name: str = "") -> Iterator[VideoReader]:
    """Open a file; VideoError when there is nothing in it to decode.

    `keyframes` decodes those alone; `exact` everything, as it should look: for pictures that people see or that are
    kept. `name` stands in sentences in place of the path.
    """
    import av

    name = name or str(path)
    try:
        container = av.open(str(path), mode="r", metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(_unopened(name, path, error)) from error
    with container:
        stream = _stream(container, name)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = usable_threads()
        stream.codec_context.skip_frame = "NONKEY" if keyframes else "DEFAULT" if exact else "NONREF"
        cheaper = {} if exact else {"skip_loop_filter": "nokey"}
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS), **cheaper}
        facts = _facts(container, stream)
        base = stream.time_base
        if base is None:
            raise VideoError(f"{name} gives its frames no times: convert it to MP4.")
        begin = float((stream.start_time or 0) * base)
        clock = FrameClock(begin, 1.0 / facts.per_second if facts.per_second else 0.04)
        yield VideoReader(name, facts, clock=clock, _container=container, _stream=stream, _base=base)


def _stream(container: InputContainer, name: str) -> VideoStream:
    import av
    from av.stream import Disposition

    streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    if not streams:
        raise VideoError(f"{name} holds no video, only {_kinds(container)}: name another file.")
    stream = streams[0]
    try:
        width, height = stream.codec_context.width, stream.codec_context.height
    except (av.FFmpegError, AttributeError) as error:
        raise VideoError(f"{name} is in a format that cannot be decoded here: convert it to H.264.") from error
    if width * height > MAX_PIXELS:
        raise VideoError(f"{name} has frames of {width}x{height} pixels, more than {MAX_MEGAPIXELS} million: scale it.")
    return stream


def _kinds(container: InputContainer) -> str:
    kinds = sorted({stream.type for stream in container.streams if stream.type != "video"})
    return " and ".join(kinds) or "a picture"


def _facts(container: InputContainer, stream: VideoStream) -> VideoFacts:
    context = stream.codec_context
    of_stream = 0.0 if stream.duration is None else float(stream.duration * (stream.time_base or 0))
    of_file = 0.0 if container.duration is None else container.duration / 1e6
    seconds = max(of_stream, of_file) or None
    rate = float(stream.average_rate) if stream.average_rate else None
    return VideoFacts(context.width, context.height, seconds, rate, context.name, str(context.pix_fmt or "unknown"))


def _unopened(name: str, path: Path, error: Exception) -> str:
    if not path.exists():
        return f"there is no such file: {name}"
    if path.is_file() and not path.stat().st_size:
        return f"{name} is empty."
    if type(error).__name__ == "InvalidDataError":
        return f"{name} is no video, or lacks the index at its end (a recording that was cut off): copy or repair it."
    return f"{name} cannot be read: {words_of(error)}."
