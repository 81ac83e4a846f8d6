"""Frames of a scanned video as labelled pictures: a folder that `streetvision data add made:FOLDER` reads.

The label is the operator's where one is given. Otherwise it is the model's own word, and marked so: it weighs
`MODEL_TRUST`, or `AGREED_TRUST` where a second opinion says the same; where that contradicts, the frames are left out.
All frames of a video are one group, so that no split has the same drive on both sides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streetvision.base.disk import sentences, write_atomically
from streetvision.sources.made import RECORDS
from streetvision.sources.records import read_records
from streetvision.video.clock import hms
from streetvision.video.frames import SeenPictures, Shot, Wanted, plan
from streetvision.video.reading import VideoReader
from streetvision.video.record import Record
from streetvision.video.report import VideoReport, read_report
from streetvision.video.scaling import jpeg
from streetvision.video.stills import stills


@dataclass(slots=True)
class Exported:
    """What was written."""

    written: int = 0
    alike: int = 0
    """Left out because they look like another one."""
    contradicted: list[int] = field(default_factory=list)
    """Segments left out because the second opinion contradicts."""


def export(reader: VideoReader, record: Record, folder: Path, wanted: Wanted) -> Exported:
    """Write frames and their records into a folder, beside what is there; OperatorError where the disk refuses."""
    report = read_report(record)
    shots, contradicted = plan(report, wanted)
    done, seen = Exported(contradicted=contradicted), SeenPictures()
    by_time = {shot.time: shot for shot in shots}
    before, records = _read_list(folder / RECORDS), list[dict[str, Any]]()
    with sentences(f"Writing into {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for time, picture in stills(reader, by_time, searchable=record.searchable):
            if not seen.is_new(picture):
                done.alike += 1
                continue
            name = f"{record.path.stem}-{time:09.2f}.jpg"
            write_atomically(folder / name, jpeg(picture))
            records.append(_fields(report, by_time[time], name, record.path.stem, wanted))
        _write_list(folder / RECORDS, before, records)
    done.written = len(records)
    return done


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
