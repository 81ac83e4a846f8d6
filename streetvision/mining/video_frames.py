"""Frames of videos in the dataset, beside the log's pictures: to be looked at, labelled and exported like them.

Nobody asked about them, so they have no request; their answers are those of the scan. A file is on the disk before the
sample that names it: whatever ends the process, the next one finds each frame once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from streetvision.mining.database import Dataset, FiftyOne, Sample
from streetvision.mining.dataset import save_view
from streetvision.mining.pictures import PictureFolder
from streetvision.mining.rescoring import NOBODY
from streetvision.mining.schema import (
    LICENCE,
    OPINION,
    PREDICTION,
    PREDICTIONS,
    VIDEO,
    VIDEO_SEGMENT,
    VIDEO_TIME,
    classification,
)
from streetvision.models.logits import sigmoid

VIDEO_VIEW = "video"
TOGETHER = 32
"""Frames that are added at once."""


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One frame that a person should look at."""

    jpeg: bytes
    width: int
    height: int
    video: str
    """Absolute path or s3://bucket/key."""
    time: float
    """Seconds."""
    segment: int
    """As the scan numbers them, from 1; 0 outside of segments."""
    model: str
    logit: float
    licence: str = ""
    opinion: Mapping[str, Any] | None = None
    """What a second model said of the segment: `model`, `roadwork`, `certainty`, `reason`."""


def known_frames(fo: FiftyOne, dataset: Dataset, video: str) -> dict[float, Path]:
    """Files of this video's frames by time."""
    view = dataset.match(fo.ViewField(VIDEO) == video)
    times, paths = view.values([VIDEO_TIME, "filepath"])
    return {time: Path(path) for time, path in zip(times, paths, strict=True)}


def add_frames(
    fo: FiftyOne, dataset: Dataset, pictures: PictureFolder, frames: Iterable[VideoFrame], now: float
) -> int:
    """Add those whose bytes are not there yet, and how many; `now` is Unix seconds. OperatorError for a full disk."""
    added, coming = 0, iter(frames)
    while some := list(islice(coming, TOGETHER)):
        fresh = _unknown(fo, dataset, some)
        samples = [_sample(fo, pictures, sha256, frame, now) for sha256, frame in fresh.items()]
        if samples:
            dataset.add_samples(samples, progress=False)
        added += len(samples)
    return added


def save_frames_view(dataset: Dataset) -> int:
    """All frames by video and time, as a view; how many there are."""
    view = dataset.exists(VIDEO).sort_by([(VIDEO, 1), (VIDEO_TIME, 1)])
    save_view(dataset, VIDEO_VIEW, view, "Frames of videos, by video and time")
    return int(view.count())


def _unknown(fo: FiftyOne, dataset: Dataset, frames: Iterable[VideoFrame]) -> dict[str, VideoFrame]:
    digests = {hashlib.sha256(frame.jpeg).hexdigest(): frame for frame in frames}
    known = set(dataset.match(fo.ViewField("sha256").is_in(list(digests))).values("sha256"))
    return {sha256: frame for sha256, frame in digests.items() if sha256 not in known}


def _sample(fo: FiftyOne, pictures: PictureFolder, sha256: str, frame: VideoFrame, now: float) -> Sample:
    probability, moment = sigmoid(frame.logit), datetime.fromtimestamp(now, UTC)
    answer = classification(fo, probability, frame.logit, model=frame.model, request=NOBODY)
    return fo.Sample(
        filepath=str(pictures.keep(sha256, frame.jpeg).absolute()),
        sha256=sha256,
        image="stored",
        width=frame.width,
        height=frame.height,
        size_bytes=len(frame.jpeg),
        asked=0,
        requests=[],
        validators=[],
        first_seen=moment,
        last_seen=moment,
        probability=probability,
        logit=frame.logit,
        model_version=frame.model,
        **{
            PREDICTION: answer,
            PREDICTIONS: fo.Classifications(classifications=[answer.copy()]),
            OPINION: _opinion(fo, frame.opinion),
            VIDEO: frame.video,
            VIDEO_TIME: frame.time,
            VIDEO_SEGMENT: frame.segment,
            LICENCE: frame.licence or None,
        },
    )


def _opinion(fo: FiftyOne, said: Mapping[str, Any] | None) -> object:
    if said is None:
        return None
    label = "roadwork" if said.get("roadwork") else "none"
    return fo.Classification(
        label=label, confidence=said.get("certainty"), remark=said.get("reason", ""), oracle=said["model"]
    )
