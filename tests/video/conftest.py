"""A record of a scanned video, as most tests need it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from streetvision.video.finding import local_video
from streetvision.video.opening import open_video
from streetvision.video.record import Record, open_record, record_path
from streetvision.video.scanning import scan
from streetvision.video.stills import illustrate

from .videos import BRIGHT, DARK, Brightness, levels, write_video


@dataclass
class Scanned:
    """A video of half a minute with two stretches of roadwork, and its record."""

    path: Path
    state: Path
    record: Record


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = levels((DARK, 6.0), (BRIGHT, 6.0), (DARK, 10.0), (BRIGHT, 2.0), (DARK, 6.0))
    return write_video(tmp_path_factory.mktemp("videos") / "drive.mp4", frames)


@pytest.fixture
def scanned(drive: Path, tmp_path: Path) -> Iterator[Scanned]:
    video = local_video(drive)
    with open_record(record_path(tmp_path, video.identity)) as record:
        record.begin(video.identity, {"model": "bright-1", "keyframes": False})
        with open_video(drive) as reader:
            scan(reader, Brightness(), record)
        with open_video(drive, exact=True) as reader:
            illustrate(reader, record)
        yield Scanned(drive, tmp_path, record)
