"""Which frames of a scanned video are worth keeping: of chosen segments, and of the rest; near duplicates once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from streetvision.engine.types import ImageArray
from streetvision.sources.near_duplicates import are_near
from streetvision.sources.picture import fingerprint
from streetvision.video.report import VideoReport, numbered
from streetvision.video.smoothing import Segment

MODEL_TRUST, AGREED_TRUST = 0.4, 0.8
SURELY_NONE = 0.05
"""Smoothed probability below which a frame outside of segments may stand for `none`."""
MARGIN_S = 3.0
"""Seconds that a frame for `none` keeps away from every segment."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which frames, and what they are."""

    segments: Sequence[int] = ()
    """Numbers as the report prints them, from 1; empty: all."""
    label: bool | None = None
    """The operator's word; None leaves it to the model."""
    every: float = 1.0
    """Seconds between frames."""
    most: int = 20
    """Frames of one segment."""
    outside: int = 0
    """Frames without roadwork, spread over the rest."""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame to keep."""

    time: float
    label: bool
    trust: float
    labelled_by: str
    segment: int
    """0 outside of segments."""


def plan(report: VideoReport, wanted: Wanted) -> tuple[list[Shot], list[int]]:
    """The frames by time, and the segments that are left out; OperatorError for a segment that is not there."""
    shots: list[Shot] = []
    contradicted: list[int] = []
    for number, segment in numbered(report.segments, wanted.segments).items():
        word = _word(report, segment, wanted)
        if word is None:
            contradicted.append(number)
        else:
            shots += [Shot(time, *word, number) for time in _times(segment, wanted)]
    return sorted([*shots, *_outside(report, wanted)], key=lambda shot: shot.time), contradicted


class SeenPictures:
    """Looks of pictures that were met, to tell near duplicates of them."""

    def __init__(self) -> None:
        self._looks: list[int] = []

    def is_new(self, picture: ImageArray) -> bool:
        """Whether none like this uint8 RGB picture [height, width, 3] was met; from now on it was."""
        small = Image.fromarray(picture).resize((32, 32), Image.Resampling.BICUBIC)
        look = fingerprint(np.asarray(small))
        if any(are_near(look, other) for other in self._looks):
            return False
        self._looks.append(look)
        return True


def _word(report: VideoReport, segment: Segment, wanted: Wanted) -> tuple[bool, float, str] | None:
    """Label, trust and whose word it is; None where the model and a second opinion contradict each other."""
    if wanted.label is not None:
        return wanted.label, 1.0, "human"
    said = report.said_of(segment)
    if not all(one.get("roadwork") for one in said):
        return None
    names = " and ".join([report.model, *(one["model"] for one in said)])
    return True, AGREED_TRUST if said else MODEL_TRUST, f"model {names}"


def _times(segment: Segment, wanted: Wanted) -> list[float]:
    """Evenly spaced, neither at the very beginning nor at the end."""
    count = max(1, min(wanted.most, int((segment.end - segment.start) / wanted.every)))
    return [segment.start + (segment.end - segment.start) * (place + 0.5) / count for place in range(count)]


def _outside(report: VideoReport, wanted: Wanted) -> Iterator[Shot]:
    clear = [
        float(time)
        for time, value in zip(report.times, report.smoothed, strict=True)
        if value < SURELY_NONE
        and all(time < one.start - MARGIN_S or time > one.end + MARGIN_S for one in report.segments)
    ]
    if not clear or not wanted.outside:
        return
    for place in np.unique(np.linspace(0, len(clear) - 1, min(wanted.outside, len(clear))).round().astype(int)):
        yield Shot(clear[place], False, MODEL_TRUST, f"model {report.model}", 0)
