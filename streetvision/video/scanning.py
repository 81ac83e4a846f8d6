"""One video through the model into its record, a batch at a time, and the segments that its answers make.

The state of what chooses the frames goes into the record with each batch: a scan that goes on chooses the same frames
as one that never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from streetvision.engine.ensemble import Sight
from streetvision.engine.types import Runner, RunnerFailure
from streetvision.errors import OperatorError
from streetvision.video.choosing import SAMPLING, Sampling
from streetvision.video.clock import hms
from streetvision.video.decoding import Batch, DecodingThread, Work
from streetvision.video.reading import Damage, VideoError, VideoReader
from streetvision.video.record import Record, Sample
from streetvision.video.smoothing import SMOOTHING, Smoothing, find_segments, smooth


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scan is."""

    time: float
    """Seconds of the video that are done."""
    answered: int
    """Frames that the model answered, of earlier sittings too."""


def scan(
    reader: VideoReader,
    runner: Runner,
    record: Record,
    *,
    sampling: Sampling = SAMPLING,
    smoothing: Smoothing = SMOOTHING,
    progress: Callable[[Progress], None] = lambda _: None,
    work: Work | None = None,
) -> None:
    """Answer the frames that the record lacks and keep segments in it. `runner` is warm; `record` has begun.

    `work` hears what each part took. Raises VideoError for a video without frames, OperatorError when the model fails.
    May be interrupted anywhere, and called again with a reader that is newly opened.
    """
    if not record.fact("complete"):
        _answer_all(reader, runner, record, sampling, progress=progress, work=work or Work())
    judge(record, smoothing)


def judge(record: Record, smoothing: Smoothing) -> None:
    """Find the segments anew from the answers that are kept."""
    times, logits = record.series()
    segments = find_segments(times, logits, smooth(times, logits, smoothing), smoothing)
    record.set_facts(segments=[asdict(one) for one in segments], smoothing=asdict(smoothing))


def damage_of(record: Record) -> Damage:
    """What could not be read, over all sittings."""
    return Damage(**(record.fact("state") or {}).get("damage", {}))


def _answer_all(
    reader: VideoReader,
    runner: Runner,
    record: Record,
    sampling: Sampling,
    *,
    progress: Callable[[Progress], None],
    work: Work,
) -> None:
    state = record.fact("state") or {}
    with DecodingThread(reader, Sight(runner).eyes[0], sampling, state, work=work) as decoding:
        for batch in decoding.batches():
            record.add(_answer(runner, batch, work), batch.state)
            progress(Progress(batch.state["position"]["time"], record.count()))
    if not record.count():
        why = "; ".join(reader.damage.sentences()) or "it is empty"
        raise VideoError(f"{reader.name} holds no frame that can be decoded: {why}.")
    record.set_facts(complete=True, video=asdict(reader.facts))


def _answer(runner: Runner, batch: Batch, work: Work) -> list[Sample]:
    """In parts of the runner's largest batch."""
    if not batch.frames:
        return []
    started, size = time.perf_counter(), runner.buckets[-1]
    parts = (batch.frames[at : at + size] for at in range(0, len(batch.frames), size))
    try:
        logits = np.concatenate([runner.run(np.stack([one.image for one in part])).logits for part in parts])
    except RunnerFailure as error:
        place = hms(batch.frames[0].time)
        raise OperatorError(f"{error}: run the same command again, it goes on at {place}.") from error
    work.model += time.perf_counter() - started
    return [Sample(one.time, float(logit), one.choice) for one, logit in zip(batch.frames, logits, strict=True)]
