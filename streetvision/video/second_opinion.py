"""The judges beside the local model: which calls are to be made, for how much, and their answers into the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streetvision.net.bedrock import BadAnswer, Bedrock
from streetvision.settings.video import VideoSettings
from streetvision.video import marengo, pegasus
from streetvision.video.clips import clip_span, cut
from streetvision.video.reading import VideoReader
from streetvision.video.record import Record
from streetvision.video.report import numbered
from streetvision.video.scaling import jpeg
from streetvision.video.smoothing import Segment
from streetvision.video.spending import Spending
from streetvision.video.stills import stills

FRAME_SIDE = 640
"""Longer side in pixels of a frame that is embedded."""

Heard = Callable[[str], None]
"""Hears a sentence of a call that was lost."""
Progress = Callable[[int], None]
"""Hears how many calls more are done."""


@dataclass(frozen=True, slots=True)
class Judges:
    """What every call needs."""

    bedrock: Bedrock
    settings: VideoSettings
    spending: Spending


def unasked(record: Record, settings: VideoSettings, numbers: list[int]) -> list[Segment]:
    """Segments that Pegasus has not judged, of these numbers or of all: an answer is paid for once. OperatorError."""
    chosen = numbered(record.segments(), numbers).values()
    said = {span for span, opinion in record.opinions().items() if opinion["model"] == settings.pegasus}
    return [one for one in chosen if (one.start, one.end) not in said]


def clip_dollars(segment: Segment, seconds: float, settings: VideoSettings) -> float:
    """The most that a judgement costs."""
    start, end = clip_span(segment, seconds)
    return (end - start) / 60 * settings.minute_price + pegasus.MOST_TOKENS / 1000 * settings.token_price


def frame_dollars(settings: VideoSettings) -> float:
    """What a frame or a picture costs."""
    return settings.frame_price / 1000


def judge(
    judges: Judges, reader: VideoReader, record: Record, segments: list[Segment], *, heard: Heard, progress: Progress
) -> int:
    """Have segments judged and keep the answers; how many got none. OperatorError ends it, a lost call does not."""
    settings, seconds, lost = judges.settings, record.seconds, 0
    for segment in sorted(segments, key=lambda one: one.start):
        progress(1)
        start, end = clip_span(segment, seconds)
        clip = cut(reader, start, end, searchable=record.searchable)
        if not clip:
            heard(f"segment at {segment.start:.0f} s: nothing of it can be decoded")
            lost += 1
            continue
        judges.spending.count(f"{settings.pegasus} {end - start:.1f} s", clip_dollars(segment, seconds, settings))
        try:
            answer = pegasus.ask(judges.bedrock, settings.pegasus, clip)
        except BadAnswer as error:
            heard(f"segment at {segment.start:.0f} s: {error}")
            lost += 1
            continue
        record.add_opinion(segment.start, segment.end, settings.pegasus, answer)
    return lost


def unembedded(record: Record, settings: VideoSettings, every: float) -> list[float]:
    """Times of answered frames, at least `every` seconds apart, that Marengo has not embedded nearby."""
    known, _ = record.vectors(settings.marengo)
    wanted: list[float] = []
    for time in map(float, record.series()[0]):
        place = int(np.searchsorted(known, time))
        near = [*known[max(0, place - 1) : place + 1], *wanted[-1:]]
        if all(abs(time - other) >= every for other in near):
            wanted.append(time)
    return wanted


def embed(
    judges: Judges, reader: VideoReader, record: Record, times: list[float], *, heard: Heard, progress: Progress
) -> int:
    """Embed frames and keep the vectors; how many calls were lost.

    A run that is killed has paid for one frame more than it kept at most.
    """
    settings, lost = judges.settings, 0
    for time, picture in stills(reader, times, longest=FRAME_SIDE, searchable=record.searchable):
        progress(1)
        judges.spending.count(settings.marengo, frame_dollars(settings))
        try:
            vector = marengo.embed_picture(judges.bedrock, settings.marengo, jpeg(picture))
        except BadAnswer as error:
            heard(f"frame at {time:.0f} s: {error}")
            lost += 1
            continue
        record.add_vector(time, settings.marengo, vector)
    return lost
