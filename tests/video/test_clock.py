"""Times of frames, whatever their timestamps do."""

from __future__ import annotations

from fractions import Fraction

from streetvision.video.clock import FrameClock, Position, exact, hms

MS = Fraction(1, 1000)


def times(clock: FrameClock, *stamps: int | None) -> list[float | None]:
    found = [clock.time_of(stamp, MS) for stamp in stamps]
    return [None if time is None else round(time, 6) for time in found]


def test_times_count_from_the_first_frame() -> None:
    clock = FrameClock(start=5.0)
    assert times(clock, 5000, 5040, 6000) == [0.0, 0.04, 1.0]
    assert clock.position == Position(1.0, searchable=True)


def test_a_frame_out_of_order_is_left_out() -> None:
    assert times(FrameClock(), 0, 100, 80, 200) == [0.0, 0.1, None, 0.2]


def test_a_jump_back_is_mended_and_told() -> None:
    clock = FrameClock(spacing=0.1)
    assert times(clock, 0, 60_000, 10, 1010) == [0.0, 60.0, 60.1, 61.1]
    assert not clock.position.searchable


def test_frames_without_a_time_follow_each_other() -> None:
    clock = FrameClock(spacing=0.5)
    assert times(clock, None, None, None) == [0.0, 0.5, 1.0]
    assert not clock.position.searchable


def test_times_are_written_as_players_do() -> None:
    assert [hms(3), hms(765.9), hms(3723)] == ["0:03", "12:45", "1:02:03"]
    assert [exact(3.44), exact(59.97), exact(3723.5)] == ["0:03.4", "1:00.0", "1:02:03.5"]
