"""Requests while containers at Modal start cold, are taken away and fail, with the embedded model behind them.

Real engine, lanes, transport and wire; the app is a script in this process that takes the times which are published
(fake_modal.py), and the embedded model sleeps as long as a small one computes. Nothing here was run at Modal.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from engine import jpeg
from fake_modal import FakeModalApp
from harness import Row, machine, percentile, report
from remote import DEADLINE, PIN, SleepingRunner

from streetvision.engine.engine import Engine
from streetvision.engine.remote import RemoteEnd
from streetvision.engine.remote_policy import RemotePolicy
from streetvision.engine.remote_wire import answer_parts, batch_of
from streetvision.engine.transport import RemoteAnswer
from streetvision.engine.types import EngineError
from streetvision.serverless.spending import SpendingCap
from streetvision.serverless.transport import ModalTransport

WIDTH = 384


@dataclass(slots=True)
class Seen:
    """What became of the requests."""

    began: float
    seconds: list[float] = field(default_factory=list)
    by: list[tuple[float, str]] = field(default_factory=list)
    """When each was answered, and by whom."""
    missed: int = 0


def container(head: dict[str, Any], block: bytes) -> tuple[dict[str, Any], bytes]:
    """Zeros."""
    batch = batch_of(head, block)
    numbers = np.zeros(len(batch), np.float32), np.zeros((len(batch), WIDTH), np.float32)
    return answer_parts(RemoteAnswer(batch.model, *numbers, inference=0.005))


async def asked(engine: Engine, data: bytes, seen: Seen) -> None:
    started = time.monotonic()
    try:
        answer = await engine.predict(data, deadline=started + DEADLINE, priority=0.0)
    except EngineError:
        seen.missed += 1
        return
    seen.seconds.append(time.monotonic() - started)
    seen.by.append((time.monotonic(), answer.served_by))


async def phase(
    name: str, app: FakeModalApp, engine: Engine, seconds: float, rate: float, trouble: Callable[[], None]
) -> Row:
    """Requests at a steady rate; the trouble comes with the first."""
    trouble()
    seen, data = Seen(time.monotonic()), jpeg()
    tasks = []
    for place in range(int(seconds * rate)):
        await asyncio.sleep(seen.began + place / rate - time.monotonic())
        tasks.append(asyncio.create_task(asked(engine, data, seen)))
    await asyncio.gather(*tasks)
    far = [moment for moment, by in seen.by if by == "modal"]
    milliseconds = [1e3 * value for value in seen.seconds]
    return {
        "phase": name,
        "requests": len(tasks),
        "missed": seen.missed,
        "p50_ms": percentile(milliseconds, 0.5),
        "p99_ms": percentile(milliseconds, 0.99),
        "longest_ms": max(milliseconds),
        "embedded_share": 1 - len(far) / len(seen.by),
        "first_by_modal_s": min(far) - seen.began if far else None,
        "starts": app.starts,
    }


async def run(seconds: float, rate: float, scale: float) -> list[Row]:
    app = FakeModalApp(container, scale)
    way = ModalTransport(lambda: app, SpendingCap(50.0, 0.0, lambda: datetime.now(UTC)))
    engine = Engine(SleepingRunner(), remote=lambda _: RemoteEnd(PIN, way, RemotePolicy()))
    await engine.start()

    def fail() -> None:
        app.failing = 0.05

    rows = [
        await phase("cold at the start", app, engine, seconds, rate, lambda: None),
        await phase("warm", app, engine, seconds, rate, lambda: None),
        await phase("the container is taken away", app, engine, seconds, rate, app.stop),
        await phase("one call of 20 fails", app, engine, seconds, rate, fail),
    ]
    await engine.close()
    await way.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0, help="of each phase")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument("--scale", type=float, default=1.0, help="of the app's times")
    wanted = parser.parse_args()
    where = machine()
    rows = asyncio.run(run(wanted.seconds, wanted.rate, wanted.scale))
    report("serverless", "Requests while containers at Modal come and go (simulated), 20 a second", rows, where)


if __name__ == "__main__":
    main()
