"""Frames are taken by time and change, and not twice."""

from __future__ import annotations

import json

import numpy as np

from streetvision.video.choosing import SAMPLING, Choice, FrameChooser, Luma


def noise(seed: int) -> Luma:
    return np.random.default_rng(seed).integers(100, 120, (32, 32)).astype(np.uint8)


def chosen(frames: list[tuple[float, Luma]], chooser: FrameChooser | None = None) -> list[tuple[float, Choice]]:
    chooser = chooser or FrameChooser()
    return [(time, chooser.choose(time, luma)) for time, luma in frames if chooser.wants(time)]


def kept(found: list[tuple[float, Choice]], why: str = "time") -> list[float]:
    return [time for time, choice in found if choice == why]


def test_frames_are_due_on_the_grid() -> None:
    frames = [(place / 30, noise(place)) for place in range(90)]
    assert [round(time, 2) for time in kept(chosen(frames))] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


def test_uneven_frames_are_taken_when_they_come() -> None:
    times = [0.0, 0.1, 0.9, 1.0, 4.2, 4.3, 4.6]
    assert kept(chosen([(time, noise(place)) for place, time in enumerate(times)])) == [0.0, 0.9, 1.0, 4.2, 4.6]


def test_a_cut_between_the_points_is_kept_at_once() -> None:
    frames = [(place / 10, noise(place) if place < 13 else noise(place) // 3) for place in range(20)]
    found = chosen(frames)
    assert kept(found, "change") == [1.3]
    assert kept(found) == [0.0, 0.5, 1.0, 1.5]


def test_a_still_picture_is_passed_over_for_a_while() -> None:
    still = noise(1)
    found = chosen([(place / 2, still) for place in range(50)])
    assert kept(found) == [0.0, 10.0, 20.0]
    assert len(kept(found, "same")) == 47


def test_a_chooser_goes_on_as_it_was() -> None:
    frames = [(place / 7, noise(place // 4)) for place in range(60)]
    whole = chosen(frames)
    first = FrameChooser()
    before = chosen(frames[:25], first)
    again = FrameChooser.from_state(SAMPLING, json.loads(json.dumps(first.state())))
    assert before + chosen(frames[25:], again) == whole
