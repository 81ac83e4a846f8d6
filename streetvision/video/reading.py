"""Frames of a video file with their times, decoded by PyAV at reduced cost; what is broken in it is noted.

Frames that no other frame needs are not decoded (H.264's and H.265's B-frames): at a few pictures a second nobody
misses them, and decoding takes about half as long. H.264's deblocking is left to keyframes, which takes a sixth off
and changes a picture of the model's size by a few hundredths of a level (benchmarks/video.py). What follows the last
frame that is wanted of a group of pictures is not decoded either, where it is said which are wanted. Nothing is kept
but the frame at hand and the packets up to the next keyframe.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from streetvision.base.defaults import MAX_MEGAPIXELS
from streetvision.base.wording import plural
from streetvision.errors import OperatorError, reason
from streetvision.video.clock import FrameClock, Position, hms
from streetvision.video.groups import grid_point, groups

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

MAX_PIXELS = MAX_MEGAPIXELS * 1_000_000
BACK = 2.0
"""Seconds before the place to go on at from which decoding starts again: frames there may need others before them."""
SHORT_BY = 2.0
"""Seconds that may be missing from the length a file declares before its end counts as lost."""


class VideoError(OperatorError):
    """A file gives no frames: one sentence that says why."""


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a file says of itself."""

    width: int
    height: int
    """As stored, in pixels."""
    seconds: float | None
    """Its length; None where it says none."""
    per_second: float | None
    """Its mean frame rate."""
    codec: str
    pixels: str
    """Its pixel format, such as `yuv420p`."""


@dataclass(slots=True)
class Damage:
    """What could not be read, for the report."""

    packets: int = 0
    """Pieces that the decoder refused, and frames that it marks as broken."""
    first: float | None = None
    """Where the first of them stood, in seconds."""
    end: str = ""
    """Why reading ended before the file's end; a clause with the place."""

    def note(self, time: float) -> None:
        """Count one broken piece."""
        self.packets += 1
        self.first = time if self.first is None else self.first

    def followed_by(self, later: Damage) -> Damage:
        """Of two sittings."""
        first = later.first if self.first is None else self.first
        return Damage(self.packets + later.packets, first, later.end)

    def sentences(self) -> list[str]:
        """For people; empty for a sound file."""
        found = []
        if self.packets:
            found.append(f"{plural(self.packets, 'damaged piece')} left out, the first at {hms(self.first or 0.0)}")
        return found + ([self.end] if self.end else [])


@dataclass(frozen=True, slots=True)
class Decoded:
    """A frame as it was decoded, not upright and not scaled yet; valid until the next one is asked for."""

    time: float
    """Seconds from the video's beginning."""
    frame: av.VideoFrame


@dataclass(slots=True)
class VideoReader:
    """One opened file."""

    name: str
    facts: VideoFacts
    damage: Damage = field(default_factory=Damage)
    clock: FrameClock = field(default_factory=FrameClock)
    _container: InputContainer = field(kw_only=True)
    _stream: VideoStream = field(kw_only=True)
    _base: Fraction = field(kw_only=True)
    _passed: float = 0.0
    """Time of the last frame that was passed over undecoded."""

    @property
    def aspect(self) -> Fraction | None:
        """A pixel's width by its height; None where the file does not say."""
        return self._stream.sample_aspect_ratio

    def frames(self, after: Position | None = None, per_second: float | None = None) -> Iterator[Decoded]:
        """All frames in the order of their times, or those after a place that an earlier reading reached.

        `per_second` leaves out those that follow the last point of that grid in a group of pictures, undecoded; the
        first at or after each point and every keyframe remain. Raises nothing for damage: it is noted in `damage`, and
        what can be read is given.
        """
        if after is not None:
            self._resume(after)
        done = -1.0 if after is None else after.time
        for frame in self._decoded(per_second):
            time = self.clock.time_of(frame.pts, frame.time_base or self._base)
            if time is None or time <= done:
                continue
            if frame.is_corrupt or frame.width * frame.height > MAX_PIXELS:
                self.damage.note(time)
            else:
                yield Decoded(time, frame)
        self._check_end()

    def jump(self, time: float) -> None:
        """Go to the last keyframe at or before a time; VideoError where the file cannot be searched."""
        import av

        try:
            self._container.seek(int((time + self.clock.start) / self._base), stream=self._stream)
        except (av.FFmpegError, OverflowError) as error:
            raise VideoError(f"{self.name} cannot be searched for {hms(time)}: {words_of(error)}.") from error
        self.clock.restart()

    def rewind(self) -> None:
        """Go back to the beginning, where something was read; VideoError where the file cannot be searched."""
        if self.clock.begun:
            self.jump(0.0)

    def _resume(self, after: Position) -> None:
        """Where times are continuous, jump; where they were mended, all has to be read again to mend them alike."""
        if after.searchable and after.time > BACK:
            try:
                self.jump(after.time - BACK)
            except VideoError:
                return  # from the beginning, which takes longer and ends the same

    def _decoded(self, per_second: float | None) -> Iterator[Any]:
        end: list[str] = []
        cut = False
        for group in groups(self._packets(end)):
            packets = group.without_leading() if cut else group.packets
            last = None if per_second is None else self._seconds(group.last)
            if last is None or per_second is None:
                yield from (frame for packet in packets for frame in self._decode(packet))
                cut = False
            else:
                cut = yield from self._until(packets, last, per_second)
        if end:
            self.damage.end = f"reading ends at {hms(self.clock.last)}: {end[0]}"

    def _until(self, packets: list[Any], last: float, per_second: float) -> Generator[Any, None, bool]:
        """The frames of a group up to its last point of the grid; whether any was left out."""
        wanted = grid_point(last, per_second)
        for place, packet in enumerate(packets):
            came = False
            for frame in self._decode(packet):
                time = None if frame.is_corrupt else self._seconds(frame.pts)
                came = came or (time is not None and grid_point(time, per_second) >= wanted)
                yield frame
            if came and any(one.size for one in packets[place + 1 :]):
                yield from self._drain()
                self._passed = last
                return True
        return False

    def _drain(self) -> Iterator[Any]:
        """What the decoder holds; it then waits for a keyframe."""
        import av

        context = self._stream.codec_context
        try:
            yield from context.decode(None)
        except av.FFmpegError:
            self.damage.note(self.clock.last)
        context.flush_buffers()

    def _packets(self, end: list[str]) -> Iterator[Any]:
        """Until the file ends or cannot be read on, which adds a clause to `end`."""
        import av

        try:
            yield from self._container.demux(self._stream)
        except av.FFmpegError as error:
            end.append(words_of(error))

    def _decode(self, packet: Any) -> list[Any]:  # noqa: ANN401 - PyAV types it loosely
        import av

        if packet.is_corrupt:
            self.damage.note(self.clock.last)
        try:
            return list(packet.decode())
        except av.FFmpegError:
            self.damage.note(self.clock.last)
            return []

    def _seconds(self, pts: int | None) -> float | None:
        """Of a timestamp, where the file's own times hold."""
        return (
            float(pts * self._base) - self.clock.start if pts is not None and self.clock.position.searchable else None
        )

    def _check_end(self) -> None:
        declared = self.facts.seconds if self.clock.position.searchable else None
        if (
            declared
            and not self.damage.end
            and max(self.clock.last, self._passed) < declared - SHORT_BY - self._spacing()
        ):
            self.damage.end = f"the file ends at {hms(self.clock.last)} of {hms(declared)}"

    def _spacing(self) -> float:
        return 1.0 / self.facts.per_second if self.facts.per_second else 0.0


def words_of(error: Exception) -> str:
    """PyAV's errors carry a number and a path; the clause stands between them."""
    text = getattr(error, "strerror", None) or reason(error)
    return str(text).lower()
