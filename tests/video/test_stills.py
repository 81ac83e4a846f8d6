"""Single pictures at given times, and thumbnails."""

from __future__ import annotations

import pytest

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.video.opening import open_video
from streetvision.video.stills import stills

from .conftest import Scanned


@pytest.mark.parametrize("searchable", [True, False])
def test_a_time_gives_its_picture(scanned: Scanned, searchable: bool) -> None:
    times = [0.0, 5.5, 7.05, 11.5, 23.0, 29.0, 99.0]
    with open_video(scanned.path, exact=True) as reader:
        for _ in range(2):  # a reader that was used is rewound
            found = list(stills(reader, times, searchable=searchable))
            assert [time for time, _ in found] == times[:-1]
            assert [picture.mean() > 128 for _, picture in found] == [False, False, True, True, True, False]


def test_the_longer_side_is_bounded(scanned: Scanned) -> None:
    with open_video(scanned.path, exact=True) as reader:
        ((_, picture),) = stills(reader, [1.0], longest=32)
    assert picture.shape == (24, 32, 3)


def test_thumbnails_show_beginnings_and_peaks(scanned: Scanned) -> None:
    segments = scanned.record.segments()
    shown = scanned.record.thumbnails()
    assert {one.peak for one in segments} < set(shown)
    assert all(any(one.start <= time <= one.start + 0.5 for time in shown) for one in segments)
    bright = [decode(data, size=16, limits=DecodeLimits(), resize="squash").array for data in shown.values()]
    assert all(array.mean() > 128 for array in bright)
