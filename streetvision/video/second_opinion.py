"""The judges beside the local model: which calls are to be made, for how much, and their answers into the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streetvision.errors import ConfigError
from streetvision.net.bedrock import BadAnswer, Bedrock
from streetvision.settings.video import VideoSettings
from streetvision.video import marengo, pegasus
from streetvision.video.clips import clip_span, cut
from streetvision.video.prompted import EVERY_S, Sides, frames_to_embed, opinion, prompts, prompts_dollars
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
class Account:
    """What every call needs."""

    bedrock: Bedrock
    settings: VideoSettings
    spending: Spending
    prompts: list[Sides] = field(default_factory=list)
    """Marengo's, once they were embedded."""


class Ask(Protocol):
    """Has segments judged and keeps the answers; how many calls got none. OperatorError ends it."""

    def __call__(
        self,
        account: Account,
        reader: VideoReader,
        record: Record,
        segments: list[Segment],
        *,
        heard: Heard,
        progress: Progress,
    ) -> int:
        """A call that is lost is heard of and does not end it."""
        ...


@dataclass(frozen=True, slots=True)
class Judge:
    """Who gives second opinions, and what that costs."""

    model: str
    calls: str
    """What is sent, in the plural."""
    price: Callable[[Record, list[Segment]], tuple[int, float]]
    """How many are sent for these segments of a video, and dollars at most."""
    once: float
    """Dollars of a run beside that."""
    ask: Ask


def judge_named(name: str, settings: VideoSettings) -> Judge:
    """`pegasus` or `marengo`; ConfigError."""
    if name == "pegasus":
        return Judge(settings.pegasus, "clips", lambda record, some: _clips(record, some, settings), 0.0, judge)
    if name == "marengo":
        once = prompts_dollars(settings)
        return Judge(settings.marengo, "frames", lambda record, some: _frames(record, some, settings), once, compare)
    raise ConfigError(f"--judge is pegasus or marengo, not {name!r:.40}")


def unasked(record: Record, model: str, numbers: list[int]) -> list[Segment]:
    """Segments that a model has not judged, of these numbers or of all: an answer is paid for once. OperatorError."""
    chosen = numbered(record.segments(), numbers).values()
    said = {span for span, opinions in record.opinions().items() if any(one["model"] == model for one in opinions)}
    return [one for one in chosen if (one.start, one.end) not in said]


def _clips(record: Record, segments: list[Segment], settings: VideoSettings) -> tuple[int, float]:
    return len(segments), sum(clip_dollars(one, record.seconds, settings) for one in segments)


def _frames(record: Record, segments: list[Segment], settings: VideoSettings) -> tuple[int, float]:
    known, _ = record.vectors(settings.marengo)
    count = len(_to_embed(known, record, segments))
    return count, count * frame_dollars(settings)


def clip_dollars(segment: Segment, seconds: float, settings: VideoSettings) -> float:
    """The most that a judgement costs."""
    start, end = clip_span(segment, seconds)
    return (end - start) / 60 * settings.minute_price + pegasus.MOST_TOKENS / 1000 * settings.token_price


def frame_dollars(settings: VideoSettings) -> float:
    """What a frame or a picture costs."""
    return settings.frame_price / 1000


def judge(
    account: Account, reader: VideoReader, record: Record, segments: list[Segment], *, heard: Heard, progress: Progress
) -> int:
    """Have segments judged and keep the answers; how many got none. OperatorError ends it, a lost call does not."""
    settings, seconds, lost = account.settings, record.seconds, 0
    for segment in sorted(segments, key=lambda one: one.start):
        progress(1)
        start, end = clip_span(segment, seconds)
        clip = cut(reader, start, end, searchable=record.searchable)
        if not clip:
            heard(f"segment at {segment.start:.0f} s: nothing of it can be decoded")
            lost += 1
            continue
        account.spending.count(f"{settings.pegasus} {end - start:.1f} s", clip_dollars(segment, seconds, settings))
        try:
            answer = pegasus.ask(account.bedrock, settings.pegasus, clip)
        except BadAnswer as error:
            heard(f"segment at {segment.start:.0f} s: {error}")
            lost += 1
            continue
        record.add_opinion(segment.start, segment.end, settings.pegasus, answer)
    return lost


def unembedded(record: Record, settings: VideoSettings, every: float) -> list[float]:
    """Times of answered frames, at least `every` seconds apart, that Marengo has not embedded nearby."""
    known, _ = record.vectors(settings.marengo)
    return _far_from(known, record, every)


def _far_from(known: NDArray[np.float64], record: Record, every: float) -> list[float]:
    wanted: list[float] = []
    for time in map(float, record.series()[0]):
        place = int(np.searchsorted(known, time))
        near = [*known[max(0, place - 1) : place + 1], *wanted[-1:]]
        if all(abs(time - other) >= every for other in near):
            wanted.append(time)
    return wanted


def embed(
    account: Account, reader: VideoReader, record: Record, times: list[float], *, heard: Heard, progress: Progress
) -> int:
    """Embed frames and keep the vectors; how many calls were lost.

    A run that is killed has paid for one frame more than it kept at most.
    """
    settings, lost = account.settings, 0
    for time, picture in stills(reader, times, longest=FRAME_SIDE, searchable=record.searchable):
        progress(1)
        account.spending.count(settings.marengo, frame_dollars(settings))
        try:
            vector = marengo.embed_picture(account.bedrock, settings.marengo, jpeg(picture))
        except BadAnswer as error:
            heard(f"frame at {time:.0f} s: {error}")
            lost += 1
            continue
        record.add_vector(time, settings.marengo, vector)
    return lost


def compare(
    account: Account, reader: VideoReader, record: Record, segments: list[Segment], *, heard: Heard, progress: Progress
) -> int:
    """Have segments compared with prompts by Marengo and keep the opinions; how many calls or segments got nothing."""
    settings, lost, without = account.settings, 0, 0
    known, vectors = record.vectors(settings.marengo)
    if times := _to_embed(known, record, segments):
        lost = embed(account, reader, record, times, heard=heard, progress=progress)
        known, vectors = record.vectors(settings.marengo)
    for one in segments:
        inside = (known >= one.start) & (known <= one.end)
        if inside.any() and vectors.shape[1] == (sides := _sides(account)).size:
            record.add_opinion(one.start, one.end, settings.marengo, opinion(vectors[inside], sides))
        else:
            heard(f"segment at {one.start:.0f} s: no frame of it is embedded")
            without += 1
    return max(lost, without)


def _to_embed(known: NDArray[np.float64], record: Record, segments: list[Segment]) -> list[float]:
    return frames_to_embed(segments, known.tolist(), _far_from(known, record, EVERY_S))


def _sides(account: Account) -> Sides:
    """The prompts' embeddings; paid once a run, and only where a segment has something to compare with them."""
    if not account.prompts:
        settings, words = account.settings, prompts()
        vectors: dict[str, NDArray[np.float32]] = {}
        for side, texts in words.items():
            found = []
            for text in texts:
                account.spending.count(settings.marengo, settings.search_price / 1000)
                found.append(marengo.embed_words(account.bedrock, settings.marengo, text))
            vectors[side] = np.stack(found)
        account.prompts.append(Sides(words, vectors))
    return account.prompts[0]
