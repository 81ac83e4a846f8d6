"""What a backend on other machines adds to a request, and what becomes of requests when it stalls, dies or errs.

Real engine, real lanes, real JPEGs; the backend is a script in this process, and the embedded model is one that sleeps
as long as a small model computes, so that the figures are those of the seam.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from engine import InstantRunner, jpeg
from harness import Row, machine, percentile, report
from numpy.typing import NDArray
from scripted_transport import Mood, ScriptedTransport

from streetvision.engine.engine import Engine
from streetvision.engine.remote import RemoteEnd
from streetvision.engine.remote_policy import BreakerState, RemotePolicy
from streetvision.engine.transport import ModelPin
from streetvision.engine.types import EngineError, ImageArray, Runner, RunnerOutput

DEADLINE = 8.0
"""Seconds; a validator waits for 9."""
PER_BATCH, PER_PICTURE = 0.003, 0.0006
"""Seconds of the embedded model."""
PIN = ModelPin("instant", "ab" * 32)


class SleepingRunner(InstantRunner):
    """Takes as long as a small model on a GPU's worst day: three milliseconds and 0.6 a picture."""

    buckets = (1, 2, 4, 8, 16)

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        """As long as `run` takes."""
        return {size: PER_BATCH + PER_PICTURE * size for size in buckets}

    def run(self, images: ImageArray) -> RunnerOutput:
        """Zeros, later."""
        time.sleep(PER_BATCH + PER_PICTURE * len(images))
        return super().run(images)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One way to fail."""

    name: str
    mood: Mood
    seconds: float | None = None
    """What each answer takes meanwhile."""


TROUBLES = (
    Trouble("stalls", Mood.STALLS),
    Trouble("dead", Mood.DEAD),
    Trouble("late, 3 s", Mood.WELL, 3.0),
    Trouble("NaN", Mood.NAN),
    Trouble("other weights", Mood.OTHER),
)


@dataclass(slots=True)
class Asked:
    """One request: when it began, how long it took, and who answered; nobody where it was missed."""

    began: float
    seconds: float = 0.0
    by: str = ""


def zeros(images: ImageArray) -> NDArray[np.float32]:
    return np.zeros(len(images), np.float32)


def engine_over(runner: Runner, backend: ScriptedTransport | None) -> Engine:
    if backend is None:
        return Engine(runner)
    end = RemoteEnd(PIN, backend, RemotePolicy())
    return Engine(runner, remote=lambda _: end)


async def opened(engine: Engine) -> Engine:
    await engine.start()
    while (seen := engine.lanes[0].backend) is not None and seen.state is not BreakerState.CLOSED:
        await asyncio.sleep(0.01)
    return engine


async def added(runs: int) -> list[Row]:
    """One request at a time, embedded and through the backend in turn."""
    data = jpeg()
    engines = {
        "embedded": await opened(engine_over(InstantRunner(), None)),
        "backend": await opened(engine_over(InstantRunner(), ScriptedTransport(zeros))),
    }
    taken: dict[str, list[float]] = {name: [] for name in engines}
    for run in range(runs + 100):
        for name, engine in engines.items():
            started = time.perf_counter()
            await engine.predict(data, deadline=time.monotonic() + DEADLINE, priority=0.0)
            if run >= 100:
                taken[name].append(1e3 * (time.perf_counter() - started))
    for engine in engines.values():
        await engine.close()
    rows: list[Row] = [
        {"who": name, "p50_ms": percentile(ms, 0.5), "p99_ms": percentile(ms, 0.99), "runs": runs}
        for name, ms in taken.items()
    ]
    middle = percentile(taken["backend"], 0.5) - percentile(taken["embedded"], 0.5)
    return [*rows, {"who": "added", "p50_ms": middle, "p99_ms": None, "runs": runs}]


async def hedged(trouble: Trouble, total: int, rate: float, lasts: float) -> Row:
    """Requests at a steady rate; the trouble begins after a tenth of them and lasts so many seconds."""
    backend = ScriptedTransport(zeros, seconds=0.005)
    engine = await opened(engine_over(SleepingRunner(), backend))
    asked: list[Asked] = []
    began = time.monotonic()
    starts = began + 0.1 * total / rate

    async def turn() -> float:
        await asyncio.sleep(starts - time.monotonic())
        backend.mood, backend.seconds = trouble.mood, trouble.seconds or backend.seconds
        await asyncio.sleep(lasts)
        backend.mood, backend.seconds = Mood.WELL, 0.005
        return time.monotonic()

    turning = asyncio.create_task(turn())
    data = jpeg()
    tasks = []
    for place in count():
        if place >= total:
            break
        await asyncio.sleep(max(0.0, began + place / rate - time.monotonic()))
        asked.append(Asked(time.monotonic()))
        tasks.append(asyncio.create_task(ask(engine, data, asked[-1])))
    await asyncio.gather(*tasks)
    over = await turning
    await engine.close()
    return row_of(trouble, asked, starts, over)


async def ask(engine: Engine, data: bytes, asked: Asked) -> None:
    deadline = asked.began + DEADLINE
    try:
        answer = await engine.predict(data, deadline=deadline, priority=0.0)
    except EngineError:
        return
    now = time.monotonic()
    asked.seconds = now - asked.began
    asked.by = answer.served_by if now <= deadline else ""


def row_of(trouble: Trouble, asked: list[Asked], starts: float, over: float) -> Row:
    def ms(share: float, which: Callable[[Asked], bool]) -> float:
        return 1e3 * percentile([one.seconds for one in asked if one.by and which(one)], share)

    again = [one.began + one.seconds for one in asked if one.by == "scripted" and one.began >= over]
    return {
        "trouble": trouble.name,
        "lasts_s": over - starts,
        "requests": len(asked),
        "missed": sum(not one.by for one in asked),
        "p50_before_ms": ms(0.5, lambda one: one.began < starts),
        "p99_before_ms": ms(0.99, lambda one: one.began < starts),
        "p99_ms": ms(0.99, lambda one: starts <= one.began < over),
        "longest_ms": ms(1.0, lambda one: starts <= one.began < over),
        "embedded_share": sum(one.by == "embedded" for one in asked) / len(asked),
        "back_after_s": min(again) - over if again else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="for each trouble")
    parser.add_argument("--rate", type=float, default=400.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long a trouble lasts")
    parser.add_argument("--runs", type=int, default=3000)
    args = parser.parse_args()
    where = machine()
    report("remote", "What a backend on other machines adds to a request", asyncio.run(added(args.runs)), where)
    rows = [asyncio.run(hedged(trouble, args.requests, args.rate, args.seconds)) for trouble in TROUBLES]
    report("remote-troubles", "Requests while a backend fails, with the embedded model behind it", rows, where)


if __name__ == "__main__":
    main()
