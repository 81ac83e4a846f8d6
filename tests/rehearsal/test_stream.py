"""What is counted of the challenges, by the part in which they were asked."""

from __future__ import annotations

from streetvision.rehearsal.stream import Stream


def heard(stream: Stream, part: str, *answers: float | None) -> None:
    stream.part = part
    for number, answer in enumerate(answers):
        ms = 10.0 * (number + 1)
        stream.hear({"event": "challenge", "answer": answer, "roadwork": True, "ms": ms, "reward": 0.5})


def test_each_part_has_its_own_figures() -> None:
    stream = Stream()
    heard(stream, "day", 0.9, 0.8)
    heard(stream, "night", 0.9, 0.1, None, 0.5)
    stream.hear({"event": "found", "endpoint": "127.0.0.1:1"})
    night = stream.summary("night")
    assert (night.challenges, night.answered, night.accuracy) == (4, 3, 1 / 3)
    assert (night.p50_ms, night.p99_ms, night.reward) == (20.0, 40.0, 0.5)
    assert stream.summary("day", "night").challenges == 6
    assert stream.count("day") == 2


def test_a_part_without_challenges_has_no_figures() -> None:
    empty = Stream().summary("day")
    assert (empty.challenges, empty.accuracy, empty.p99_ms) == (0, None, None)
