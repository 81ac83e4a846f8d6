"""The newest requests in a few numbers each: what stages, batches, views and validators are summed up from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from loguru import logger

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.engine.types import Timings
from streetvision.errors import OperatorError
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter, LogRow
from streetvision.prediction_log.schema import DATABASE

MOST = 10_000
"""A day at seven requests a minute; a few megabytes."""


class Sample(NamedTuple):
    """One proven request. Durations are seconds; what concerns the answer is 0 or empty without one."""

    time: float
    """Arrival, Unix seconds."""
    hotkey: str
    uid: int | None
    reason: str
    """'ok' or the metric label of the refusal."""
    probability: float | None
    """None when there was no answer."""
    views: int
    batch: int
    headroom: float | None
    admission: float
    body: float
    decode: float
    queue: float
    inference: float
    predict: float
    """The engine's whole share, of which decode, queue and inference are parts."""
    reply: float
    incomplete: bool = False
    """Whether the picture's file lacked its end."""

    @property
    def total(self) -> float:
        """From the request's arrival to its reply."""
        return self.admission + self.body + self.predict + self.reply


_Answer = tuple[float, int, int, Timings, bool]
_Heard = tuple[float, str, int | None, str, float | None, StageTimings, _Answer | None]
"""The part of a record that the loop's thread keeps: references alone, at a quarter of a Sample's cost."""
Kept = tuple[Sample | _Heard, ...]


class Samples:
    """Listens to the axon's records on the loop's thread; a tenth of a microsecond a request."""

    def __init__(self, before: Iterable[Sample] = (), most: int = MOST) -> None:
        """`before`: what is known of the time before the start, oldest first."""
        self._kept: deque[Sample | _Heard] = deque(before, maxlen=most)

    def __call__(self, record: RequestRecord) -> None:
        """Keep the numbers of a proven request; never its image or its embedding."""
        hotkey, answer = record.hotkey, record.prediction
        if not record.authenticated or hotkey is None:
            return
        told = None
        if answer is not None and record.status == 200:
            incomplete = answer.decoded is not None
            told = (answer.probability, answer.views, answer.batch_size, answer.timings, incomplete)
        self._kept.append((record.arrival, hotkey, record.uid, record.reason, record.headroom, record.stages, told))

    def kept(self) -> Kept:
        """All that is kept, oldest first, for `expanded` in a thread."""
        return tuple(self._kept)

    def newest(self) -> tuple[Sample, ...]:
        """All that is kept as samples, oldest first."""
        return expanded(self.kept())


def expanded(kept: Kept) -> tuple[Sample, ...]:
    """The same as samples; milliseconds for thousands."""
    return tuple(item if isinstance(item, Sample) else _sample(item) for item in kept)


def _sample(heard: _Heard) -> Sample:
    time, hotkey, uid, reason, headroom, stages, answer = heard
    way = (stages.admission, stages.body)
    if answer is None:
        return Sample(
            time, hotkey, uid, reason, None, 0, 0, headroom, *way, 0.0, 0.0, 0.0, stages.predict, stages.reply
        )
    probability, views, batch, timings, incomplete = answer
    engine = (timings.decode, timings.queue, timings.inference)
    own = (time, hotkey, uid, reason, probability, views, batch, headroom)
    return Sample(*own, *way, *engine, stages.predict, stages.reply, incomplete)


def sample_of_row(row: LogRow) -> Sample:
    """The same from the prediction log, where the engine's share is the sum of its parts."""
    return Sample(
        row.time,
        row.validator,
        row.uid,
        row.reason,
        row.probability,
        row.views,
        row.batch_size,
        row.headroom_s,
        row.admission_s,
        row.body_s,
        row.decode_s,
        row.queue_s,
        row.inference_s,
        row.decode_s + row.queue_s + row.inference_s,
        row.reply_s,
        row.decoded is not None,
    )


def remembered(folder: Path, since: float, most: int = MOST) -> tuple[Sample, ...]:
    """Requests since then, at most the newest `most`, oldest first; none without a log in `folder`.

    Reads the disk: for a thread. A log that cannot be read is told in the miner's log and counts as none.
    """
    if not (folder / DATABASE).is_file():
        return ()
    try:
        with LogReader(folder) as reader:
            rows = list(reader.rows(LogFilter(since=since), limit=most, newest_first=True))
    except OperatorError as error:
        logger.warning("status: requests of before are not counted: {}", error)
        return ()
    return tuple(sample_of_row(row) for row in reversed(rows))
