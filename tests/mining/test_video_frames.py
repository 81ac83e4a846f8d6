"""Frames of a scanned video go where people label, once each, and come out with the labels as one drive."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streetvision.cli import video as video_command
from streetvision.mining import database
from streetvision.mining.database import URI_VARIABLE
from streetvision.mining.export import ExportOptions, export_labels
from streetvision.mining.hard import HardOptions, mine_hard
from streetvision.mining.quality import report_quality
from streetvision.mining.training_set import LABELS, read_lines
from streetvision.mining.video_frames import VIDEO_VIEW, VideoFrame, add_frames, known_frames, save_frames_view
from streetvision.sources.mined import MinedSet
from streetvision.sources.source import SourcePicture
from streetvision.video.finding import local_video
from streetvision.video.frames import Wanted
from streetvision.video.opening import open_video
from streetvision.video.record import Record, open_record, record_path
from streetvision.video.review import ReviewFrames
from streetvision.video.scanning import scan

from ..video.videos import BRIGHT, DARK, Brightness, levels, write_video
from .conftest import Mine

Jpeg = Callable[[int], bytes]
Command = Callable[..., tuple[int, str, str]]
PEGASUS = {"roadwork": False, "certainty": 0.8, "objects": [], "reason": "A bright wall."}


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = levels((DARK, 6.0), (BRIGHT, 6.0), (DARK, 8.0), (BRIGHT, 3.0), (DARK, 5.0))
    return write_video(tmp_path_factory.mktemp("videos") / "drive.mp4", frames)


@pytest.fixture
def record(drive: Path, tmp_path: Path) -> Iterator[Record]:
    video = local_video(drive)
    with open_record(record_path(tmp_path, video.identity)) as made:
        made.begin(video.identity, {"model": "bright-1", "keyframes": False})
        with open_video(drive) as reader:
            scan(reader, Brightness(), made)
        yield made


def queued(mine: Mine, drive: Path, record: Record, wanted: Wanted) -> tuple[int, ReviewFrames]:
    with open_video(drive, exact=True) as reader:
        frames = ReviewFrames(reader, record, wanted, known_frames(mine.fo, mine.dataset, str(drive)))
        return add_frames(mine.fo, mine.dataset, mine.pictures, frames, 1_790_000_000.0), frames


def test_a_frame_says_where_it_is_from_and_what_was_answered(mine: Mine, drive: Path, record: Record) -> None:
    one, two = record.segments()
    record.add_opinion(two.start, two.end, "pegasus", PEGASUS)
    added, _ = queued(mine, drive, record, Wanted(most=3, outside=2, licence="own"))
    view = mine.dataset.load_saved_view(VIDEO_VIEW) if save_frames_view(mine.dataset) else None
    assert view is not None
    assert added == view.count() == 8
    assert set(view.values("video")) == {str(drive)}
    times, segments, answers = view.values(["video_time", "video_segment", "probability"])
    assert times == sorted(times)
    for time, segment, answer in zip(times, segments, answers, strict=True):
        spans = {0: (0.0, 28.0), 1: (one.start, one.end), 2: (two.start, two.end)}
        assert spans[segment][0] <= time <= spans[segment][1]
        assert (answer > 0.5) == bool(segment)
    assert np.isin(times, record.series()[0]).all()
    assert view.match(mine.fo.ViewField("video_segment") == 2).values("opinion.label") == ["none"] * 3
    assert view.exists("opinion").count() == 3
    assert view.values("ground_truth.label") == view.values("label.label") == [None] * 8
    for path in view.values("filepath"):
        with Image.open(path) as picture:
            assert picture.size == (64, 48)
        assert not Path(path).is_symlink()


def test_no_frame_comes_twice(mine: Mine, drive: Path, record: Record) -> None:
    first, _ = queued(mine, drive, record, Wanted([1], most=3))
    again, frames = queued(mine, drive, record, Wanted([1], most=3))
    assert (first, again, frames.already) == (3, 0, 3)
    more, frames = queued(mine, drive, record, Wanted([1], every=0.5, most=6))
    assert more + frames.already + frames.alike == 6
    assert mine.dataset.count() == 3 + more
    copied = VideoFrame(Path(mine.sample().filepath).read_bytes(), 64, 48, "/elsewhere.mp4", 1.0, 1, "m", 0.0)
    assert add_frames(mine.fo, mine.dataset, mine.pictures, [copied], 0.0) == 0


def test_a_drive_is_labelled_and_exported_as_one_group(mine: Mine, drive: Path, record: Record, jpeg: Jpeg) -> None:
    writer = mine.writer
    vectors = np.eye(16, dtype=np.float32)
    writer.write(*(writer.answered(jpeg(place), 1.0, embedding=vectors[place]) for place in range(10)))
    mine.sync()
    queued(mine, drive, record, Wanted(most=4, outside=3, licence="own"))
    for sample in mine.dataset:
        sample.tags.append("none" if sample["video_segment"] == 0 else "roadwork")
        sample.save()
    report = export_labels(mine.fo, mine.dataset, mine.state / "training", ExportOptions(val_share=0.5), now=0.0)
    records = [one for one in read_lines(report.folder / LABELS) if "video" in one]
    assert len(records) >= 8
    assert len({one["group"] for one in records}) == len({one["split"] for one in records}) == 1
    pictures = [one for one in MinedSet(report.folder).pictures() if isinstance(one, SourcePicture)]
    frames = [one for one in pictures if "video" in one.tags]
    assert {one.licence for one in frames} == {"own"}
    assert {one.tags["segment"] for one in frames} == {"0", "1", "2"}
    assert {one.licence for one in pictures if one not in frames} == {"own challenges"}
    assert mine.sync().rows == 0


def test_other_commands_take_frames_as_they_are(mine: Mine, drive: Path, record: Record, jpeg: Jpeg) -> None:
    writer = mine.writer
    writer.write(writer.answered(jpeg(1), 0.1), writer.answered(jpeg(2), 2.0))
    mine.sync()
    added, _ = queued(mine, drive, record, Wanted(most=2))
    assert report_quality(mine.fo, mine.dataset).images == 2 + added
    found = mine_hard(mine.fo, mine.dataset, mine.pictures, HardOptions(k=5))
    assert found.considered == 2  # frames have no embedding before `mine rescore`
    assert mine.dataset.exists("video").count() == added


def test_a_dataset_of_an_earlier_release_gets_the_fields(mine: Mine, drive: Path, record: Record) -> None:
    from streetvision.mining.dataset import open_dataset

    for name in ("video", "video_time", "video_segment", "licence"):
        mine.dataset.delete_sample_field(name)
    opened = open_dataset(mine.fo, mine.dataset.name)
    assert opened.has_field("video_time")
    assert queued(mine, drive, record, Wanted([1], most=1))[0] == 1


@pytest.fixture
def run(
    tmp_path: Path, drive: Path, mongod: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv(URI_VARIABLE, mongod)
    monkeypatch.setattr(video_command, "_runner", lambda *_: Brightness())
    yield command


def test_the_command_makes_the_queue_and_says_where_it_is(run: Command, drive: Path, fo: Any) -> None:
    name = f"test-{uuid.uuid4().hex}"
    words = ("video", "review", str(drive), "--dataset", name, "--json")
    assert "was not scanned to its end" in run(*words)[2]
    assert run("video", str(drive))[0] == 0
    assert "no segment 7" in run(*words, "--segments", "7")[2]
    assert name not in fo.list_datasets(), "a slip makes nothing"
    try:
        code, out, err = run(*words, "--segments", "2", "--most", "2")
        assert (code, '"added": 2' in out or '"added":2' in out) == (0, True)
        assert f"2 frames to look at: streetvision mine app --view video --dataset {name}" in err
    finally:
        fo.delete_dataset(name)


def test_without_fiftyone_it_is_one_sentence(run: Command, drive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("video", str(drive))[0] == 0
    monkeypatch.setattr(database, "fiftyone_folder", lambda: None)
    code, out, err = run("video", "review", str(drive))
    assert (code, out, len(err.strip().splitlines())) == (1, "", 1)
    assert "pip install 'streetvision[mining]'" in err
