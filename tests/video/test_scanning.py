"""A file through the model into its record: sound, odd, broken and interrupted."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streetvision.engine.types import ImageArray, RunnerFailure, RunnerOutput
from streetvision.errors import OperatorError
from streetvision.video import decoding
from streetvision.video.choosing import SAMPLING
from streetvision.video.opening import open_video
from streetvision.video.reading import VideoError
from streetvision.video.record import Identity, Record, Sample, open_record
from streetvision.video.scanning import Progress, damage_of, scan

from .videos import BRIGHT, DARK, Brightness, levels, picture, write_video

DRIVE = levels((DARK, 6.0), (BRIGHT, 6.0), (DARK, 6.0))


def scanned(video: Path, record: Record, runner: Brightness | None = None, **options: Any) -> list[Sample]:
    with open_video(video) as reader:
        scan(reader, runner or Brightness(), record, **options)
    return record.samples()


@pytest.fixture
def record(tmp_path: Path) -> Any:
    with open_record(tmp_path / "a.sqlite") as opened:
        opened.begin(Identity("a", 1, "1"), {})
        yield opened


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj422p"),
        ("a.mkv", "libx264", "yuv420p10le"),
        ("b.mkv", "ffv1", "gray"),
        ("c.mkv", "ffv1", "bgr0"),
        ("a.ts", "mpeg2video", "yuv420p"),
    ],
)
def test_the_stretch_of_roadwork_is_found(name: str, codec: str, pixels: str, tmp_path: Path, record: Record) -> None:
    heard: list[Progress] = []
    samples = scanned(write_video(tmp_path / name, DRIVE, codec=codec, pixels=pixels), record, progress=heard.append)
    (segment,) = record.segments()
    assert (segment.start, segment.end) == pytest.approx((6.0, 12.0), abs=0.6)
    assert 34 <= len(samples) <= 42
    assert sum(one.choice == "change" for one in samples) == 2
    assert [one.answered for one in heard] == sorted(one.answered for one in heard)
    assert heard[-1].time > 17.0
    assert damage_of(record).sentences() == []


def test_a_killed_scan_goes_on_as_if_it_had_not_been(
    tmp_path: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "BATCH", 8)
    video = write_video(tmp_path / "a.mp4", DRIVE)
    with open_record(tmp_path / "b.sqlite") as undisturbed:
        undisturbed.begin(Identity("a", 1, "1"), {})
        whole = scanned(video, undisturbed)
    for dies_after in (8, 0, 16):
        with pytest.raises(KeyboardInterrupt):
            scanned(video, record, Brightness(dies_after))
        assert len(record.samples()) % 8 == 0
    runner = Brightness()
    assert scanned(video, record, runner) == whole
    assert runner.seen < len(whole) - 16
    assert record.fact("complete")
    again = Brightness()
    assert scanned(video, record, again) == whole
    assert again.seen == 0


class Killed(Brightness):
    """Takes its process along, without a chance to tidy up."""

    def run(self, images: ImageArray) -> RunnerOutput:
        if self.seen >= 16:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(images)


def sitting(video: Path, path: Path) -> None:
    """A scan in a process of its own that is killed after two batches."""
    with open_record(path) as opened, open_video(video) as reader:
        scan(reader, Killed(), opened)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # the child touches none of those threads
def test_sigkill_loses_a_batch_at_most(tmp_path: Path, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BATCH", 8)
    video = write_video(tmp_path / "a.mp4", DRIVE)
    whole = scanned(video, record)
    path = tmp_path / "killed.sqlite"
    with open_record(path) as opened:
        opened.begin(Identity("a", 1, "1"), {})
    for sittings in (1, 2):
        process = get_context("fork").Process(target=sitting, args=[video, path])
        process.start()
        process.join(60.0)
        assert process.exitcode == -signal.SIGKILL
        with open_record(path) as opened:
            assert opened.samples() == whole[: 16 * sittings]
    with open_record(path) as opened:
        assert scanned(video, opened) == whole
        assert opened.segments() == record.segments()


def test_a_model_that_fails_is_a_sentence_and_the_rest_is_kept(tmp_path: Path, record: Record) -> None:
    class Failing(Brightness):
        def run(self, images: ImageArray) -> RunnerOutput:
            raise RunnerFailure("the model failed on cuda: lost")

    video = write_video(tmp_path / "a.mp4", DRIVE[:40])
    with pytest.raises(OperatorError, match="goes on at 0:00"):
        scanned(video, record, Failing())
    assert len(scanned(video, record)) > 5


def test_a_variable_rate_keeps_its_times(tmp_path: Path, record: Record) -> None:
    times = [0.0, 0.03, 0.5, 0.6, 2.0, 2.04, 9.0, 9.1, 30.0]
    pictures = [picture(DARK, seed) for seed in range(len(times))]
    found = scanned(write_video(tmp_path / "a.mkv", pictures, codec="mjpeg", pixels="yuvj420p", times=times), record)
    assert [one.time for one in found] == pytest.approx([0.0, 0.5, 2.0, 9.0, 30.0], abs=0.002)


def test_a_still_video_is_answered_seldom(tmp_path: Path, record: Record) -> None:
    found = scanned(write_video(tmp_path / "a.mp4", [picture(DARK, 1)] * 210), record)
    assert [round(one.time) for one in found] == [0, 10, 20]
    assert record.fact("state")["counts"]["same"] > 30


def test_a_truncated_file_is_read_to_where_it_ends(tmp_path: Path, record: Record) -> None:
    video = write_video(tmp_path / "a.mp4", DRIVE, index_first=True)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    found = scanned(video, record)
    assert 5.0 < found[-1].time < 13.0
    end = damage_of(record).sentences()[-1]
    assert end.startswith(("the file ends at 0:0", "reading ends at 0:0"))


def test_damage_within_is_told_and_the_rest_is_read(tmp_path: Path, record: Record) -> None:
    video = write_video(tmp_path / "a.mp4", DRIVE)
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = np.random.default_rng(1).bytes(1500)
    video.write_bytes(bytes(data))
    found = scanned(video, record)
    assert found[-1].time > 16.0
    (sentence,) = damage_of(record).sentences()
    assert "left out, the first at 0:" in sentence


def test_sampling_is_as_dense_as_asked(tmp_path: Path, record: Record) -> None:
    video = write_video(tmp_path / "a.mp4", DRIVE[:50], codec="mpeg4")
    assert len(scanned(video, record, sampling=replace(SAMPLING, per_second=5.0))) == pytest.approx(25, abs=2)


def test_keyframes_alone_are_a_few(tmp_path: Path, record: Record) -> None:
    video = write_video(tmp_path / "a.mp4", DRIVE, keyframes=20)
    with open_video(video, keyframes=True) as reader:
        scan(reader, Brightness(), record)
    assert 9 <= len(record.samples()) <= 15


def test_no_frame_is_a_sentence(tmp_path: Path, record: Record) -> None:
    video = write_video(tmp_path / "a.mp4", DRIVE[:10])
    data = bytearray(video.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    video.write_bytes(bytes(data))
    with pytest.raises(VideoError, match="no frame that can be decoded"):
        scanned(video, record)
