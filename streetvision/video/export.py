"""Frames of a scanned video as labelled pictures: a folder that `streetvision data add made:FOLDER` reads.

The label is the operator's where one is given. Otherwise it is the model's own word, and marked so: it weighs
`MODEL_TRUST`, or `AGREED_TRUST` where a second opinion says the same; where that contradicts, the frames are left out.
All frames of a video are one group, so that no split has the same drive on both sides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from streetvision.base.disk import sentences, write_atomically
from streetvision.engine.types import ImageArray
from streetvision.sources.made import RECORDS
from streetvision.sources.near_duplicates import FINGERPRINT_DISTANCE
from streetvision.sources.picture import fingerprint
from streetvision.sources.records import read_records
from streetvision.video.clock import hms
from streetvision.video.reading import VideoReader
from streetvision.video.record import Record
from streetvision.video.report import VideoReport, numbered, read_report
from streetvision.video.scaling import jpeg
from streetvision.video.smoothing import Segment
from streetvision.video.stills import stills

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


@dataclass(slots=True)
class Exported:
    """What was written."""

    written: int = 0
    alike: int = 0
    """Left out because they look like another one."""
    contradicted: list[int] = field(default_factory=list)
    """Segments left out because the second opinion contradicts."""


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


def export(reader: VideoReader, record: Record, folder: Path, wanted: Wanted) -> Exported:
    """Write frames and their records into a folder, beside what is there; OperatorError where the disk refuses."""
    report = read_report(record)
    shots, contradicted = plan(report, wanted)
    done, kept = Exported(contradicted=contradicted), list[int]()
    by_time = {shot.time: shot for shot in shots}
    before, records = _read_list(folder / RECORDS), list[dict[str, Any]]()
    with sentences(f"Writing into {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for time, picture in stills(reader, by_time, searchable=record.searchable):
            look = _fingerprint(picture)
            if any((look ^ other).bit_count() <= FINGERPRINT_DISTANCE for other in kept):
                done.alike += 1
                continue
            kept.append(look)
            name = f"{record.path.stem}-{time:09.2f}.jpg"
            write_atomically(folder / name, jpeg(picture))
            records.append(_fields(report, by_time[time], name, record.path.stem, wanted))
        _write_list(folder / RECORDS, before, records)
    done.written = len(records)
    return done


def _word(report: VideoReport, segment: Segment, wanted: Wanted) -> tuple[bool, float, str] | None:
    """Label, trust and whose word it is; None where the model and the second opinion contradict each other."""
    if wanted.label is not None:
        return wanted.label, 1.0, "human"
    opinion = report.opinions.get((segment.start, segment.end))
    if opinion is None:
        return True, MODEL_TRUST, f"model {report.model}"
    agreed = True, AGREED_TRUST, f"model {report.model} and {opinion['model']}"
    return agreed if opinion.get("roadwork") else None


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


def _fingerprint(picture: ImageArray) -> int:
    return fingerprint(np.asarray(Image.fromarray(picture).resize((32, 32), Image.Resampling.BICUBIC)))


def _fields(report: VideoReport, shot: Shot, name: str, group: str, wanted: Wanted) -> dict[str, Any]:
    return {
        "file": name,
        "label": "roadwork" if shot.label else "none",
        "made_by": f"video {report.model}",
        "labelled_by": shot.labelled_by,
        "trust": shot.trust,
        "group": group,
        "licence": wanted.licence,
        "url": report.uri if "://" in report.uri else "",
        "tags": {"time": hms(shot.time), "segment": str(shot.segment)},
    }


def _read_list(path: Path) -> dict[str, dict[str, Any]]:
    """What is listed already, by file; read before any picture is written, as a broken list ends it."""
    return {str(one["file"]): one for one in read_records(path)} if path.exists() else {}


def _write_list(path: Path, before: Mapping[str, dict[str, Any]], records: Sequence[dict[str, Any]]) -> None:
    """Add to the list, in place of what it says of the same files."""
    merged = {**before, **{str(one["file"]): one for one in records}}
    write_atomically(path, "".join(json.dumps(merged[name]) + "\n" for name in sorted(merged)))
