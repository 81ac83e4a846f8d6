"""Candidates take turns, each is compared with the first in its own round, and the simpler of two alike is advised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from streetvision.engine.types import ImageArray, RunnerOutput
from streetvision.runner.timing import Candidate, Timed, candidates, recommended, timed, with_threads

FIRST, SECOND = Candidate("torch", "default", 0), Candidate("openvino", "auto", 0)


class Clock:
    """Goes only when somebody computes."""

    def __init__(self) -> None:
        self.now, self.slow, self.turns = 0.0, 1.0, list[str]()

    def __call__(self) -> float:
        return self.now


class Fake:
    """Takes so many seconds for each picture; the machine grows slower from round to round."""

    version, input_size, resize, buckets = "1.0.0", 4, "squash", (1, 8)

    def __init__(self, name: str, seconds: float, clock: Clock) -> None:
        self._name, self._seconds, self._clock = name, seconds, clock

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        self._clock.turns.append(self._name)
        return {}

    def run(self, images: ImageArray) -> RunnerOutput:
        self._clock.now += self._seconds * len(images) * self._clock.slow
        self._clock.slow *= 1.01
        return RunnerOutput(np.zeros(len(images), np.float32), np.zeros((len(images), 2), np.float32))


def row(times: float, candidate: Candidate = SECOND) -> Timed:
    return Timed(candidate, None, (10.0 / times, 80.0 / times), (times, times))


def test_a_machine_that_grows_slower_meets_all_alike() -> None:
    clock, shares = Clock(), list[float]()
    runners = [(FIRST, Fake("a", 0.2, clock)), (SECOND, Fake("b", 0.1, clock))]
    rows = timed(runners, (1, 8), 20.0, clock=clock, told=shares.append)
    assert clock.turns[:4] == ["a", "b", "a", "b"]
    assert rows[0].times == (1.0, 1.0)
    assert rows[1].times == pytest.approx((2.0, 2.0), rel=0.15)
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_little_time_still_gives_three_rounds() -> None:
    clock = Clock()
    timed([(FIRST, Fake("a", 1.0, clock))], (1,), 0.0, clock=clock)
    assert clock.turns == ["a"] * 3


def test_the_quickest_is_advised_and_of_two_alike_the_earlier() -> None:
    first = row(1.0, FIRST)
    assert recommended([first, row(1.04)]) is first
    assert recommended([first, quick := row(1.5)]) is quick
    assert recommended([first, quick, row(1.55, FIRST)]) is quick


@pytest.mark.parametrize(("usable", "expected"), [(1, []), (2, [1]), (4, [1, 2]), (8, [1, 4])])
def test_fewer_threads_are_tried(usable: int, expected: list[int]) -> None:
    assert [one.threads for one in with_threads(SECOND, usable)] == expected


def test_openvino_is_a_candidate_on_a_cpu_where_it_is_installed() -> None:
    assert candidates("cpu", frozenset())[0] == FIRST
    assert {one.runner for one in candidates("cpu", frozenset({"openvino"}))} == {"torch", "openvino"}
    assert {one.runner for one in candidates("cuda", frozenset({"openvino"}))} == {"torch"}
