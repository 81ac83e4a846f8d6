"""Threads that hand results back to the event loop."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import pytest

from streetvision.engine.workers import Workers


async def test_results_that_are_ready_together_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, wakes = asyncio.get_running_loop(), []
    wake = loop.call_soon_threadsafe

    def counted(*arguments: Any) -> asyncio.Handle:
        wakes.append(arguments)
        return wake(*arguments)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    workers = Workers(2, "test")
    futures = [workers.submit(partial(pow, number, 2)) for number in range(100)]
    time.sleep(0.2)
    assert len(wakes) == 1
    assert await asyncio.gather(*futures) == [number * number for number in range(100)]
    assert await workers.submit(lambda: "again") == "again"
    assert len(wakes) == 2
    assert await workers.stop(RuntimeError("over"), 5.0)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
async def test_an_exit_in_a_thread_ends_neither_the_thread_nor_the_process(kind: type[BaseException]) -> None:
    """Native code panics with an exception that is no Exception."""
    workers = Workers(1, "test")

    def leave() -> None:
        raise kind("3")

    with pytest.raises(RuntimeError, match=f"{kind.__name__}: 3"):
        await asyncio.wait_for(workers.submit(leave), 5.0)
    assert await asyncio.wait_for(workers.submit(lambda: "again"), 5.0) == "again"
    assert await workers.stop(RuntimeError("over"), 5.0)


async def test_no_result_is_forgotten_while_others_are_taken() -> None:
    workers = Workers(4, "test")

    async def caller(number: int) -> int:
        return sum([await workers.submit(lambda: number) for _ in range(200)])

    assert await asyncio.gather(*(caller(number) for number in range(8))) == [200 * number for number in range(8)]
    assert await workers.stop(RuntimeError("over"), 5.0)
