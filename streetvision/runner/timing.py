"""Which runner, precision and number of threads are quickest for one model on this machine, by turns; needs no torch.

The machine does other things meanwhile, so candidates take short turns in the same run, and what counts is how each
compares with the first in its own round: the median of those ratios.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from streetvision.engine.types import ImageArray, Runner, ServedBy, Telling

RUNS = 3
"""In one turn, after one to warm up."""
FEWEST_ROUNDS = 3
ALIKE = 1.05
"""What is quicker by less is not worth another setting."""
WISHES = ("default", "auto")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Settings that a model may be served by."""

    runner: str
    precision: str
    """The wish, one of PRECISIONS."""
    threads: int
    """0: as many as may be used."""


@dataclass(frozen=True, slots=True)
class Timed:
    """How quick a candidate is."""

    candidate: Candidate
    served_by: ServedBy | None
    """What came of the wish; None for a runner that does not say."""
    ms: tuple[float, ...]
    """Median milliseconds of a batch, by batch size."""
    times: tuple[float, ...]
    """How many times as quick as the first candidate, by batch size."""


def candidates(device: str, extras: frozenset[str]) -> list[Candidate]:
    """Today's default first: torch in the device's own precision."""
    runners = ("torch", "openvino") if device == "cpu" and "openvino" in extras else ("torch",)
    return [Candidate(runner, wish, 0) for runner in runners for wish in WISHES]


def with_threads(best: Candidate, usable: int) -> list[Candidate]:
    """The best one on fewer threads: a core that others use is better left to them."""
    return [Candidate(best.runner, best.precision, count) for count in sorted({1, usable // 2} - {0, usable})]


def timed(
    runners: Sequence[tuple[Candidate, Runner]],
    batches: Sequence[int],
    seconds: float,
    *,
    clock: Callable[[], float] = time.perf_counter,
    told: Callable[[float], None] = lambda _: None,
) -> list[Timed]:
    """Time warm runners in turn for about so many seconds; `told` hears the share done. Raises RunnerFailure."""
    turns: list[list[list[float]]] = [[[] for _ in batches] for _ in runners]
    started, rounds = clock(), 0
    while rounds < FEWEST_ROUNDS or clock() - started < seconds:
        for place, (_, runner) in enumerate(runners):
            runner.warmup(())
            for row, batch in zip(turns[place], batches, strict=True):
                row.append(_turn(runner, _pictures(runner, batch), clock))
        rounds += 1
        told(min(1.0, (clock() - started) / seconds) if seconds else 1.0)
    return [_row(one, turn, turns[0]) for one, turn in zip(runners, turns, strict=True)]


def recommended(rows: Sequence[Timed]) -> Timed:
    """The quickest for one picture; among those alike the earlier, which is the simpler."""
    best = rows[0]
    for row in rows[1:]:
        if row.times[0] > ALIKE * best.times[0]:
            best = row
    return best


def _turn(runner: Runner, images: ImageArray, clock: Callable[[], float]) -> float:
    runner.run(images)
    seconds = []
    for _ in range(RUNS):
        started = clock()
        runner.run(images)
        seconds.append(clock() - started)
    return median(seconds)


def _row(one: tuple[Candidate, Runner], turns: list[list[float]], first: list[list[float]]) -> Timed:
    candidate, runner = one
    ratios = [
        median(base / own for base, own in zip(bases, owns, strict=True))
        for bases, owns in zip(first, turns, strict=True)
    ]
    served_by = runner.served_by if isinstance(runner, Telling) else None
    return Timed(candidate, served_by, tuple(1e3 * median(row) for row in turns), tuple(ratios))


def _pictures(runner: Runner, batch: int) -> ImageArray:
    side = runner.input_size
    return np.random.default_rng(batch).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
