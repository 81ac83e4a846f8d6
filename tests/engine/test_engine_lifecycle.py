"""The engine from its start to its end: who is admitted when, what is left behind, what is counted."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from streetvision.engine import decode_queue as intake_module
from streetvision.engine import lanes as lanes_module
from streetvision.engine.decode import DecodedImage, decode_looks
from streetvision.engine.engine import Engine
from streetvision.engine.types import BadImage, EngineClosed, EngineError, Prediction

from .gated_runner import GatedRunner, ask, block, photo, queue_up, running
from .waiting import until


async def test_before_start_nobody_is_admitted() -> None:
    with pytest.raises(EngineClosed):
        await ask(Engine(GatedRunner()))


async def test_drain_answers_what_is_in_flight_and_admits_nobody() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        first = await block(engine, runner)
        rest = await queue_up(engine, [150, 160])
        assert await engine.drain(0.01) is False
        with pytest.raises(EngineClosed):
            await ask(engine)
        runner.gate.set()
        assert await engine.drain(5) is True
        assert all(isinstance(answer, Prediction) for answer in await asyncio.gather(first, *rest))


async def test_close_refuses_what_waits_and_leaves_a_hanging_runner_behind(caplog: pytest.LogCaptureFixture) -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        first = await block(engine, runner)
        rest = await queue_up(engine, [150, 160])
        with caplog.at_level(logging.WARNING):
            await engine.close(0.05)
        for task in (first, *rest):
            with pytest.raises(EngineClosed):
                await task
    assert "left behind" in caplog.text


async def test_closing_twice_or_before_the_start_is_harmless() -> None:
    never = Engine(GatedRunner())
    await never.close()
    async with running(GatedRunner()) as engine:
        await engine.close()
        with pytest.raises(EngineClosed):
            await ask(engine)


@pytest.mark.parametrize("option", ["queue_size", "decode_threads"])
def test_nothing_can_be_done_without_room_or_threads(option: str) -> None:
    options: dict[str, Any] = {option: 0}
    with pytest.raises(ValueError, match="at least 1"):
        Engine(GatedRunner(), **options)


async def test_one_slow_decode_does_not_close_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow_decode(*arguments: Any, **options: Any) -> DecodedImage:
        time.sleep(0.6)
        return decode_looks(*arguments, **options)

    monkeypatch.setattr(intake_module, "DECODE_MEMORY", 1.0)
    async with running(GatedRunner()) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(lanes_module, "decode_looks", slow_decode)
            await ask(engine)
        assert (await ask(engine, seconds=0.5)).batch_size == 1


async def test_threads_end_with_the_engine() -> None:
    before = set(threading.enumerate())
    async with running(GatedRunner(), decode_threads=3) as engine:
        await ask(engine)
        mine = set(threading.enumerate()) - before
        assert {thread.name for thread in mine} == {"decode-0", "decode-1", "decode-2", "runner-0"}
    await until(lambda: not any(thread.is_alive() for thread in mine))


async def test_nothing_keeps_the_image_after_the_reply() -> None:
    async with running(GatedRunner()) as engine:
        data = photo(99)
        before = sys.getrefcount(data)
        answer = await engine.predict(data, deadline=time.monotonic() + 5, priority=0)
        base: object = answer.embedding.base
        assert isinstance(base, bytes) and len(base) == answer.embedding.nbytes
        with pytest.raises(BadImage):
            await engine.predict(data[:40], deadline=time.monotonic() + 5, priority=0)
        await asyncio.sleep(0.01)
        assert sys.getrefcount(data) == before
        embedding = weakref.ref(answer.embedding)
        del answer
        assert embedding() is None


async def test_many_requests_leave_no_objects_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = GatedRunner()
    monkeypatch.setattr(logging.getLogger("streetvision.engine.dispatch"), "disabled", True)  # pytest keeps records
    async with running(runner) as engine:

        async def round_of(count: int) -> int:
            for _ in range(count):
                await asyncio.gather(ask(engine), ask(engine, 13), return_exceptions=True)
            runner.batches.clear()
            gc.collect()
            # Of the engine's kinds alone: whatever else lives in the process of the tests comes and goes.
            kinds = [str(type(thing).__module__).partition(".")[0] for thing in gc.get_objects()]
            return sum(kind in ("streetvision", "asyncio", "_asyncio") for kind in kinds)

        await round_of(50)
        before = await round_of(50)
        assert await round_of(200) < before + 20


async def test_the_event_loop_keeps_turning_while_work_is_done() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        first = await block(engine, runner)
        turns = 0
        for _ in range(100):
            await asyncio.sleep(0)
            turns += 1
        assert turns == 100
        assert not first.done()
        runner.gate.set()
        await first


async def test_metrics_and_stats_tell_the_same_story() -> None:
    registry = CollectorRegistry()
    async with running(GatedRunner(), registry=registry) as engine:
        await ask(engine)
        with pytest.raises(BadImage):
            await engine.predict(b"", deadline=time.monotonic() + 5, priority=0)
        stats = engine.stats()

    def sample(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"streetvision_engine_{name}", labels)

    assert (stats.answered, stats.batches, stats.refused) == (1, {1: 1}, {"bad_image": 1})
    assert (stats.decoding, stats.queued, stats.running) == (0, 0, 0)
    assert stats.cost[0] >= 0
    assert sample("refused_total", reason="bad_image") == 1
    assert sample("batch_size_count") == 1
    assert sample("queue_depth") == sample("in_flight") == 0
    for stage in ("decode", "queue", "inference"):
        assert sample("seconds_count", stage=stage) == 1


async def test_a_storm_of_callers_all_get_exactly_one_outcome() -> None:
    rng = np.random.default_rng(3)
    runner = GatedRunner()
    async with running(runner, queue_size=64) as engine:
        tasks = []
        for index in range(400):
            grey = 13 if index % 50 == 0 else int(rng.integers(20, 250))
            tasks.append(asyncio.create_task(ask(engine, grey, seconds=float(rng.uniform(0.001, 2.0)))))
            if index % 7 == 0:
                tasks[int(rng.integers(len(tasks)))].cancel()
            if index % 20 == 0:
                await asyncio.sleep(0.002)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        stats = engine.stats()
        assert (await ask(engine)).batch_size == 1
    allowed = (Prediction, EngineError, asyncio.CancelledError)
    assert all(isinstance(result, allowed) for result in results)
    assert stats.answered == sum(isinstance(result, Prediction) for result in results)
    assert sum(stats.refused.values()) == sum(isinstance(result, EngineError) for result in results)
    assert (stats.decoding, stats.queued, stats.running) == (0, 0, 0)
