"""Ways of sharing a GPU between serving and training, measured in turns: the method of `partition.py`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from background import Training
from harness import Row, percentile

from streetvision.engine.types import RunnerFailure
from streetvision.errors import OperatorError
from streetvision.runner.cuda_graphs import Forward
from streetvision.runner.torch_runner import TorchRunner

SIZES = (1, 8, 32)
PICTURES = {n: np.random.default_rng(n).integers(0, 256, (n, 224, 224, 3), dtype=np.uint8) for n in SIZES}
ROUNDS = 6
PAUSE_S = 0.0004
"""The longest pause before a batch: short, and random so that batches meet every part of a training step."""
ALONE = "training alone"
ALONE_S = 0.25
FAILURES = (RuntimeError, ValueError, OperatorError, RunnerFailure)
STARTED = time.perf_counter()


@dataclass
class Way:
    """One way of sharing the chip, and what was measured of it so far."""

    sharing: str
    training: str
    weight: float = 1.0
    """Share of the batches asked for: ways of less interest take fewer."""
    runner: TorchRunner | None = None
    stream: torch.cuda.Stream | None = None
    step: Callable[[], None] | None = None
    step_stream: torch.cuda.Stream | None = None
    gpu: dict[int, list[float]] = field(default_factory=lambda: {size: [] for size in SIZES})
    host: dict[int, list[float]] = field(default_factory=lambda: {size: [] for size in SIZES})
    steps: int = 0
    step_seconds: float = 0.0
    problem: str | None = None


class Timed:
    """A forward between two events."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._start: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's gap
        self._end: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's gap

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: D102  # Forward's own
        self._start.record()
        outputs = self._forward(images)
        self._end.record()
        return outputs

    def seconds(self) -> float:
        """Of the last call, which has ended."""
        return float(self._start.elapsed_time(self._end)) * 1e-3


def say(text: str) -> None:
    """Progress, with the seconds since the start."""
    print(f"{time.perf_counter() - STARTED:6.1f} s  {text}", flush=True)


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def measure(ways: Sequence[Way], batches: int, seconds: float, save: Callable[[], None]) -> None:
    """Rounds of turns, in another order each time, until there are enough batches or the time is up."""
    chance = random.Random(0)
    deadline = time.perf_counter() + seconds
    for number in range(ROUNDS):
        for way in chance.sample(ways, len(ways)):
            if way.problem is not None or time.perf_counter() > deadline:
                continue
            try:
                _turn(way, round(batches * way.weight / ROUNDS), deadline, chance)
            except FAILURES as error:
                way.problem = first_line(error)
                say(f"{way.sharing} ({way.training}): {way.problem}")
        say(f"round {number + 1} of {ROUNDS}: {[len(way.host[1]) for way in ways]} batches of 1")
        save()


def _turn(way: Way, cycles: int, deadline: float, chance: random.Random) -> None:
    """One turn of one way, training beside it where that belongs to it."""
    torch.cuda.synchronize()
    training = Training(way.step, way.step_stream) if way.step is not None and way.step_stream is not None else None
    if training is not None:
        training.begin()
    try:
        if way.runner is None:
            time.sleep(ALONE_S)
        else:
            with torch.cuda.stream(way.stream):
                _serve(way, way.runner, cycles, deadline, chance)
    finally:
        if training is not None:
            steps, seconds = training.stop()
            way.steps, way.step_seconds = way.steps + steps, way.step_seconds + seconds
    torch.cuda.synchronize()


def _serve(way: Way, runner: TorchRunner, cycles: int, deadline: float, chance: random.Random) -> None:
    """Send batches of each size in turn and keep how long they took, the first ones apart."""
    for cycle in range(cycles + 1):
        if time.perf_counter() > deadline:
            return
        for size in SIZES:
            time.sleep(chance.random() * PAUSE_S)
            started = time.perf_counter()
            runner.run(PICTURES[size])
            took = time.perf_counter() - started
            timed = runner._ready[size]
            assert isinstance(timed, Timed)
            if cycle > 0:
                way.host[size].append(took)
                way.gpu[size].append(timed.seconds())


def rows(ways: Sequence[Way]) -> list[Row]:
    """A row for every way and batch size; training's pace against what it reaches alone on the whole chip."""
    alone = next((way.steps / way.step_seconds for way in ways if way.sharing == ALONE and way.steps), None)
    return [_row(way, size, alone) for way in ways for size in (SIZES if way.host[SIZES[0]] else (None,))]


def _row(way: Way, size: int | None, alone: float | None) -> Row:
    pace = way.steps / way.step_seconds if way.steps else None
    line: Row = {"sharing": way.sharing, "training": way.training, "batch": size}
    line["batches"] = len(way.host[size]) if size else None
    for name, values in (("gpu", way.gpu), ("host", way.host)):
        found = values[size] if size else []
        for label, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            line[f"{name}_{label}_ms"] = percentile(found, share) * 1e3 if found else None
    line |= {"steps_per_s": pace, "of_steps_alone": pace / alone if pace and alone else None, "problem": way.problem}
    return line
