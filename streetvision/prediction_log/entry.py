"""From what the axon reports to what the tables hold. Runs on the writer's thread."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streetvision.axon.records import RequestRecord
from streetvision.engine.types import Prediction
from streetvision.models.logits import sigmoid

UNKNOWN_CERTAINTY = 0.5
"""Images without an answer are evicted along with the most certain ones."""
_HALF = np.finfo(np.float16)

ColumnValue = str | int | float | None


@dataclass(frozen=True, slots=True)
class NewRow:
    """One row to be: `values` in the order of schema.COLUMNS without the id, the image's bytes and the vector's."""

    sha256: str | None
    image: bytes | None
    certainty: float
    seen: float
    values: tuple[ColumnValue, ...]
    embedding: bytes | None


def entry_of(record: RequestRecord, image_bytes: int) -> NewRow:
    """What to write about a request whose image had `image_bytes`; memory may have had no room for the image itself."""
    image = record.image
    digest = hashlib.sha256(image).hexdigest() if image else None
    answer, stages = record.prediction, record.stages
    values: tuple[ColumnValue, ...] = (
        record.arrival,
        record.hotkey or "",
        record.uid,
        str(record.dialect),
        record.status,
        record.reason,
        digest,
        image_bytes,
        *_answer_values(answer, stages.admission, stages.body),
        stages.reply,
        record.headroom,
        *_member_values(answer),
    )
    return NewRow(
        sha256=digest,
        image=image or None,
        certainty=UNKNOWN_CERTAINTY if answer is None else abs(answer.probability - 0.5),
        seen=record.arrival,
        values=values,
        embedding=None if answer is None else half(answer.embedding),
    )


def _member_values(answer: Prediction | None) -> tuple[ColumnValue, ...]:
    """From `decoded` to `served_by`."""
    if answer is None:
        return (None, None, None, None, None)
    alone = [sigmoid(logit) for logit in answer.members]
    first, second = (*alone, None, None)[:2]
    router = None if answer.router is None else str(answer.router)
    return (answer.decoded, first, second, router, answer.served_by)


def _answer_values(answer: Prediction | None, admission: float, body: float) -> tuple[ColumnValue, ...]:
    """From `width` to `inference_s`."""
    if answer is None:
        return (0, 0, "", None, None, 0, 0, admission, body, 0.0, 0.0, 0.0)
    times = answer.timings
    return (
        answer.width,
        answer.height,
        answer.model_version,
        answer.probability,
        answer.logit,
        answer.views,
        answer.batch_size,
        admission,
        body,
        times.decode,
        times.queue,
        times.inference,
    )


def half(vector: NDArray[np.float32]) -> bytes:
    """A vector as little-endian float16, its values cut to what that type can hold."""
    return np.clip(vector, _HALF.min, _HALF.max).astype("<f2").tobytes()
