"""A logged request as its readers see it, and how they choose among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ImageState = Literal["stored", "evicted", "dropped", "none"]
"""What became of the image file: there; removed for space or age (or found missing); never written; none arrived."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One authenticated request, answered or refused. Durations are seconds, 0 for stages that were not reached."""

    id: int
    """Ascending in the order of logging, never used twice."""
    time: float
    """Arrival, Unix seconds."""
    validator: str
    """Hotkey, ss58."""
    uid: int | None
    dialect: str
    status: int
    reason: str
    """'ok' or the metric label of the refusal."""
    sha256: str
    """Hex digest of the image bytes as received; empty when none arrived."""
    size_bytes: int
    width: int
    height: int
    """Pixels after EXIF orientation; 0 when unknown."""
    model_version: str
    """Empty when the request was not answered."""
    probability: float | None
    logit: float | None
    views: int
    batch_size: int
    admission_s: float
    body_s: float
    decode_s: float
    queue_s: float
    inference_s: float
    reply_s: float
    headroom_s: float | None
    """Seconds between the reply and the deadline (negative: too late)."""
    decoded: float | None
    """Share of the pixels that could be decoded of a file without its end; None for a whole one."""
    first_probability: float | None
    """P(roadwork) by the first member of an ensemble alone; None for a model by itself."""
    second_probability: float | None
    """P(roadwork) by its second member alone; None where that was not asked."""
    router: str | None
    """Why the second member of a router answered or not: a RouterOutcome; None without a router."""
    served_by: str | None
    """Who computed the answer: `embedded`, or the name of a backend; None without an answer and in rows of before."""
    image: ImageState
    embedding: NDArray[np.float16] | None = None
    """Pooled embedding [D]; None unless asked for, and for requests that were not answered."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which rows; every condition that is not None must hold."""

    since: float | None = None
    """Unix seconds, inclusive."""
    until: float | None = None
    """Unix seconds, exclusive."""
    validator: str | None = None
    """Hotkey, ss58."""
    uid: int | None = None
    """The validator's UID at the time of the request."""
    model: str | None = None
    """Model version."""
    min_score: float | None = None
    """Lowest probability, inclusive; unanswered rows have none and are left out."""
    max_score: float | None = None
    """Highest probability, inclusive; unanswered rows have none and are left out."""
    status: int | None = None
    answered: bool | None = None
    stored: bool | None = None
    """Whether the image file is still there."""
