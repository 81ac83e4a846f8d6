"""Frames that follow the last wanted one of a group are left out, and those that are wanted stay the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from streetvision.engine.types import ImageArray
from streetvision.engine.views import Eye
from streetvision.video import groups as module
from streetvision.video.groups import grid_point, groups
from streetvision.video.opening import open_video
from streetvision.video.record import Identity, Sample, open_record
from streetvision.video.scaling import FrameScaler
from streetvision.video.scanning import damage_of, scan

from .videos import BRIGHT, DARK, Brightness, levels, picture, write_video

LONG = levels((DARK, 12.0))


@dataclass
class Piece:
    """A packet."""

    pts: int | None
    is_keyframe: bool = False
    size: int = 10


def split(pieces: Iterable[Piece]) -> list[tuple[list[int | None], int | None]]:
    return [([one.pts for one in group.packets], group.last) for group in groups(iter(pieces))]


def test_groups_begin_with_keyframes() -> None:
    pieces = [Piece(0, True), Piece(3), Piece(1), Piece(4, True), Piece(5), Piece(None, size=0)]
    assert split(pieces) == [([0, 3, 1], 3), ([4, 5, None], 5)]
    assert split([]) == []


def test_what_has_no_time_or_no_keyframe_has_no_last() -> None:
    assert split([Piece(0), Piece(1, True), Piece(None), Piece(2)]) == [([0], None), ([1, None, 2], None)]


def test_a_group_that_does_not_end_is_given_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PACKETS", 3)
    found = split([Piece(place, place in (0, 7)) for place in range(9)])
    assert found == [([0, 1, 2], None), ([3, 4, 5], None), ([6], None), ([7, 8], 8)]
    monkeypatch.setattr(module, "MOST_BYTES", 20)
    assert [len(times) for times, _ in split([Piece(place, place == 0) for place in range(5)])] == [2, 2, 1]


def test_leading_pictures_are_told_by_their_times() -> None:
    (group,) = groups(iter([Piece(5, True), Piece(3), Piece(4), Piece(8), Piece(None, size=0)]))
    assert [one.pts for one in group.without_leading()] == [5, 8, None]


def test_the_grid_forgives_rounding() -> None:
    assert [grid_point(time, 2.0) for time in (0.0, 0.4999, 0.4999999, 0.5, 7.0)] == [0, 0, 1, 1, 14]


def due(video: Path, per_second: float | None) -> tuple[dict[float, ImageArray], int]:
    """What is shown at each point of a grid of two a second, and how many frames were decoded for that."""
    scaler, found, count = FrameScaler(), dict[float, ImageArray](), 0
    with open_video(video) as reader:
        for one in reader.frames(per_second=per_second):
            count += 1
            if not found or grid_point(one.time, 2.0) > grid_point(max(found), 2.0):
                found[one.time] = scaler.model_input(one.frame, Eye(32, "squash"))
        assert reader.damage.sentences() == []
    return found, count


def encoded(path: Path, options: dict[str, str]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options=options)
        stream.height, stream.width = LONG[0].shape[:2]
        for shown in LONG:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())
    return path


def kinds() -> Iterator[tuple[str, dict[str, str]]]:
    plain = {"sc_threshold": "0"}
    yield "closed.mp4", {**plain, "g": "7", "bf": "0"}
    yield "pyramid.mp4", {**plain, "g": "23", "bf": "3", "b-pyramid": "normal"}
    yield "open.mkv", {**plain, "g": "9", "bf": "3", "x264-params": "open-gop=1"}
    yield "stream.ts", {**plain, "g": "8", "bf": "2"}
    yield "one.mp4", {**plain, "g": "999", "bf": "0"}


@pytest.mark.parametrize(("name", "options"), list(kinds()))
def test_wanted_frames_are_the_same_pixels_at_the_same_times(
    name: str, options: dict[str, str], tmp_path: Path
) -> None:
    video = encoded(tmp_path / name, options)
    (every, all_frames), (fewer, some) = due(video, None), due(video, 2.0)
    assert list(fewer) == list(every)
    assert all(np.array_equal(every[time], fewer[time]) for time in every)
    assert some <= all_frames - (1 if name in ("closed.mp4", "one.mp4") else 0)


def test_a_variable_rate_and_a_turned_picture_stay_as_they_were(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(3).uniform(0.02, 0.4, len(LONG))).round(3).tolist()
    video = write_video(tmp_path / "a.mkv", LONG, times=times, rotation=90, keyframes=10)
    every, fewer = due(video, None)[0], due(video, 2.0)[0]
    assert list(fewer) == list(every)
    assert all(np.array_equal(every[time], fewer[time]) for time in every)


def samples(video: Path, folder: Path, name: str) -> tuple[list[Sample], list[str]]:
    with open_record(folder / f"{name}.sqlite") as record, open_video(video) as reader:
        record.begin(Identity(name, 1, "1"), {})
        scan(reader, Brightness(), record)
        return record.samples(), damage_of(record).sentences()


def test_a_file_read_to_its_end_is_not_told_of_as_cut_off(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", LONG, keyframes=60)
    with open_video(video) as reader:
        found = [one.time for one in reader.frames(per_second=0.1)]
        assert reader.damage.sentences() == []
    assert found[0] == 0.0
    assert found[-1] < 11.5


def test_a_cut_in_what_is_left_out_is_seen_half_a_second_later_at_most(tmp_path: Path) -> None:
    frames = [picture(DARK if place < 68 else BRIGHT, place) for place in range(100)]
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"sc_threshold": "0", "g": "10", "bf": "0"})
        stream.height, stream.width = frames[0].shape[:2]
        for shown in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())
    found, damage = samples(tmp_path / "a.mp4", tmp_path, "a")
    (seen,) = [one.time for one in found if one.choice == "change"]
    assert 6.8 <= seen <= 7.3
    assert damage == []
