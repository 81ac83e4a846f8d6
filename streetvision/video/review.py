"""Frames of a scanned video for the review queue: those that the scan answered, nearest to where they are wanted.

A person labels them: so frames are taken of segments that a second opinion contradicts, too, and nothing is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from streetvision.mining.video_frames import VideoFrame
from streetvision.video.frames import SeenPictures, Wanted, plan
from streetvision.video.reading import VideoReader
from streetvision.video.record import Record
from streetvision.video.report import VideoReport, read_report
from streetvision.video.scaling import jpeg
from streetvision.video.stills import EXACT, stills


@dataclass(frozen=True, slots=True)
class Place:
    """One answered frame."""

    segment: int
    logit: float


def wanted_places(record: Record, report: VideoReport, wanted: Wanted) -> dict[float, Place]:
    """Answered frames by time, those of a segment within it; OperatorError for a segment that is not there."""
    times, logits = record.series()
    shots, _ = plan(replace(report, opinions={}), wanted)
    nearest = {int(np.abs(times - shot.time).argmin()): shot.segment for shot in shots}
    return {float(times[at]): Place(segment, float(logits[at])) for at, segment in nearest.items()}


@dataclass(slots=True)
class ReviewFrames:
    """The wanted frames of a video that the queue does not have; the counts are true once all were taken."""

    reader: VideoReader
    record: Record
    wanted: Wanted
    known: Mapping[float, Path] = field(default_factory=dict)
    """The queue's frames of this video, by time."""
    progress: Callable[[int], None] = lambda _: None
    """Hears how many places more are done."""
    already: int = 0
    """Wanted, and in the queue."""
    alike: int = 0
    """Left out because they look like another one."""

    def __iter__(self) -> Iterator[VideoFrame]:
        """In order of time; OperatorError for a segment that is not there and a video that cannot be read."""
        report = read_report(self.record)
        places = wanted_places(self.record, report, self.wanted)
        fresh = [time for time in places if not any(abs(time - other) < EXACT for other in self.known)]
        self.already = len(places) - len(fresh)
        self.progress(self.already)
        seen = _seen(self.known.values())
        said = {number: _sharpest(report.said_of(one)) for number, one in enumerate(report.segments, 1)}
        for time, picture in stills(self.reader, fresh, searchable=self.record.searchable):
            self.progress(1)
            if not seen.is_new(picture):
                self.alike += 1
                continue
            place, (height, width) = places[time], picture.shape[:2]
            yield VideoFrame(
                jpeg=jpeg(picture),
                width=width,
                height=height,
                video=report.uri,
                time=time,
                segment=place.segment,
                model=report.model,
                logit=place.logit,
                licence=self.wanted.licence,
                opinion=said.get(place.segment),
            )


def _sharpest(opinions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """One that contradicts the model, where there is one."""
    return min(opinions, key=lambda one: bool(one.get("roadwork")), default=None)


def _seen(files: Iterable[Path]) -> SeenPictures:
    """What the queue has; a file that is gone or broken resembles nothing."""
    seen = SeenPictures()
    for file in files:
        try:
            with Image.open(file) as picture:
                seen.is_new(np.asarray(picture.convert("RGB")))
        except OSError:
            continue
    return seen
