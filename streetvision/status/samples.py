"""The newest requests in a few numbers each: what stages, batches, views and validators are summed up from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from streetvision.axon.records import RequestRecord
from streetvision.prediction_log.row import LogRow

MOST = 10_000
"""A day at seven requests a minute; four megabytes."""


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

    @property
    def total(self) -> float:
        """From the request's arrival to its reply."""
        return self.admission + self.body + self.predict + self.reply


class Samples:
    """Listens to the axon's records on the loop's thread; a microsecond a request."""

    def __init__(self, before: Iterable[Sample] = (), most: int = MOST) -> None:
        """`before`: what is known of the time before the start, oldest first."""
        self._kept: deque[Sample] = deque(before, maxlen=most)

    def __call__(self, record: RequestRecord) -> None:
        """Keep the numbers of a proven request."""
        if record.authenticated and record.hotkey is not None:
            self._kept.append(sample_of(record, record.hotkey))

    def newest(self) -> tuple[Sample, ...]:
        """All that is kept, oldest first."""
        return tuple(self._kept)


def sample_of(record: RequestRecord, hotkey: str) -> Sample:
    """The numbers of one record; never its image or its embedding."""
    stages, answer = record.stages, record.prediction
    if answer is None or record.status != 200:
        none = (None, 0, 0, record.headroom, stages.admission, stages.body, 0.0, 0.0, 0.0, stages.predict, stages.reply)
        return Sample(record.arrival, hotkey, record.uid, record.reason, *none)
    timings = answer.timings
    return Sample(
        record.arrival,
        hotkey,
        record.uid,
        record.reason,
        answer.probability,
        answer.views,
        answer.batch_size,
        record.headroom,
        stages.admission,
        stages.body,
        timings.decode,
        timings.queue,
        timings.inference,
        stages.predict,
        stages.reply,
    )


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
    )
