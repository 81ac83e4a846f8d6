"""The engine end to end over a runner that tests control."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from streetvision.engine import intake as intake_module
from streetvision.engine import lanes as lanes_module
from streetvision.engine.decode import DecodedImage, DecodeLimits, decode_looks
from streetvision.engine.engine import Engine
from streetvision.engine.types import (
    BadImage,
    DeadlineMissed,
    EngineClosed,
    EngineError,
    ImageArray,
    Overloaded,
    Prediction,
    RunnerFailure,
    RunnerOutput,
)
from streetvision.errors import ConfigError

SIDE = 16


def photo(grey: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (SIDE, SIDE), grey).save(out, "PNG")
    return out.getvalue()


POISON = photo(13)


class GatedRunner:
    """Answers each image with its grey level less 128, tenfold smaller; waits at a gate; breaks on grey level 13."""

    version = "fake-1"
    input_size = SIDE
    resize = "squash"

    def __init__(self, buckets: tuple[int, ...] = (1, 2, 4, 8)) -> None:
        self.buckets = buckets
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.poison: Callable[[], Exception] = lambda: RunnerFailure("device error")
        self.bad_value: float | None = None
        self.warmed: tuple[int, ...] = ()

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        self.warmed = tuple(buckets)
        self.threads.add(threading.current_thread().name)
        return dict.fromkeys(buckets, 0.001)

    def run(self, images: ImageArray) -> RunnerOutput:
        levels = images[:, 0, 0, 0].astype(int)
        self.threads.add(threading.current_thread().name)
        self.batches.append(levels.tolist())
        self.entered.set()
        assert self.gate.wait(20)
        logits = ((levels - 128) / 10).astype(np.float32)
        if 13 in levels:
            if self.bad_value is None:
                raise self.poison()
            logits[levels == 13] = self.bad_value
        return RunnerOutput(logits, np.repeat(logits[:, None], 4, axis=1))


@asynccontextmanager
async def running(runner: GatedRunner, **options: Any) -> AsyncIterator[Engine]:
    engine = Engine(runner, **options)
    await engine.start()
    runner.entered.clear()
    try:
        yield engine
    finally:
        runner.gate.set()
        await engine.close()


async def ask(engine: Engine, grey: int = 200, seconds: float = 10.0, priority: float = 0.0) -> Prediction:
    return await engine.predict(photo(grey), deadline=time.monotonic() + seconds, priority=priority)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def block(engine: Engine, runner: GatedRunner) -> asyncio.Task[Prediction]:
    """Occupy the runner until its gate opens."""
    runner.gate.clear()
    first = asyncio.create_task(ask(engine, 100))
    await until(runner.entered.is_set)
    return first


async def queue_up(engine: Engine, greys: Sequence[int], **options: Any) -> list[asyncio.Task[Prediction]]:
    tasks = [asyncio.create_task(ask(engine, grey, **options)) for grey in greys]
    await until(lambda: engine.stats().queued == len(greys))
    return tasks


async def test_one_image_is_answered_with_all_that_is_promised() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        answer = await ask(engine, 148)
    assert answer.logit == pytest.approx(2.0)
    assert answer.probability == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert answer.embedding.tolist() == [2.0] * 4
    assert (answer.model_version, answer.views, answer.batch_size) == ("fake-1", 1, 1)
    assert (answer.width, answer.height) == (SIDE, SIDE)
    assert min(answer.timings.decode, answer.timings.inference) > 0
    assert answer.timings.queue >= 0
    assert runner.warmed == runner.buckets
    assert runner.threads == {"runner-0"}


@pytest.mark.parametrize("grey", [0, 255])
async def test_extreme_logits_stay_probabilities(grey: int) -> None:
    async with running(GatedRunner()) as engine:
        assert 0.0 <= (await ask(engine, grey)).probability <= 1.0


async def test_while_one_batch_runs_the_next_one_gathers() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        first = await block(engine, runner)
        rest = await queue_up(engine, [101, 102, 103, 104])
        assert engine.stats().running == 1
        runner.gate.set()
        answers = await asyncio.gather(first, *rest)
    assert [answer.batch_size for answer in answers] == [1, 4, 4, 4, 4]
    assert [answer.logit for answer in answers] == pytest.approx([-2.8, -2.7, -2.6, -2.5, -2.4], abs=1e-5)


async def test_the_earliest_deadline_goes_first() -> None:
    runner = GatedRunner(buckets=(1,))
    async with running(runner) as engine:
        first = await block(engine, runner)
        late = await queue_up(engine, [110], seconds=9.0)
        soon = asyncio.create_task(ask(engine, 120, seconds=5.0))
        await until(lambda: engine.stats().queued == 2)
        runner.gate.set()
        await asyncio.gather(first, *late, soon)
    assert runner.batches == [[100], [120], [110]]


async def test_bad_images_cost_no_inference_and_the_engine_lives_on() -> None:
    runner = GatedRunner()
    async with running(runner, limits=DecodeLimits(max_bytes=5000)) as engine:
        for data in (b"", b"nonsense", b"\xff\xd8\xff" + b"x" * 100, b"\0" * 6000):
            with pytest.raises(BadImage):
                await engine.predict(data, deadline=time.monotonic() + 5, priority=0)
        assert runner.batches == []
        assert engine.stats().refused == {"bad_image": 4}
        assert (await ask(engine)).batch_size == 1


async def test_the_queue_is_bounded_by_all_that_waits() -> None:
    runner = GatedRunner()
    async with running(runner, queue_size=2) as engine:
        first = await block(engine, runner)
        tasks = [asyncio.create_task(ask(engine)) for _ in range(10)]
        await until(lambda: sum(task.done() for task in tasks) == 8)
        runner.gate.set()
        results = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert sum(isinstance(result, Prediction) for result in results) == 3
    assert sum(isinstance(result, Overloaded) for result in results) == 8
    assert engine.stats().refused == {"overloaded": 8}


async def test_a_queued_request_expires_while_the_runner_is_busy() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        first = await block(engine, runner)
        with pytest.raises(DeadlineMissed):
            await ask(engine, 150, seconds=0.2)
        assert engine.stats().queued == 0
        assert not first.done()
        runner.gate.set()
        await first
    assert [150] not in runner.batches


async def test_a_request_in_a_batch_that_hangs_is_told_at_its_deadline() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        runner.gate.clear()
        with pytest.raises(DeadlineMissed):
            await ask(engine, seconds=0.2)
        assert engine.stats().refused == {"deadline": 1}
        runner.gate.set()
        assert (await ask(engine)).batch_size == 1


async def test_a_deadline_in_the_past_is_refused_at_once() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        with pytest.raises(DeadlineMissed):
            await ask(engine, seconds=-0.1)
        for deadline in (float("nan"), float("inf")):
            with pytest.raises(ValueError, match="finite"):
                await engine.predict(photo(1), deadline=deadline, priority=0)
    assert runner.batches == []


async def test_a_cancelled_caller_leaves_the_queue() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        first = await block(engine, runner)
        gone, stays = await queue_up(engine, [150, 160])
        gone.cancel()
        await until(lambda: engine.stats().queued == 1)
        runner.gate.set()
        await asyncio.gather(first, stays)
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert engine.stats().cancelled == 1
    assert runner.batches == [[100], [160]]


async def test_a_poisoned_image_does_not_fail_its_batch_mates() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        first = await block(engine, runner)
        tasks = await queue_up(engine, [140, 13, 160, 170])
        runner.gate.set()
        await first
        results = await asyncio.gather(*tasks, return_exceptions=True)
        stats = engine.stats()
    assert [type(result) for result in results] == [Prediction, RunnerFailure, Prediction, Prediction]
    assert stats.retried == 4
    assert stats.refused == {"runner": 1}
    together = runner.batches[1]
    assert sorted(together) == [13, 140, 160, 170]
    assert runner.batches == [[100], together, *([grey] for grey in together)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
async def test_an_answer_that_is_not_finite_is_a_failure_never_a_guess(value: float) -> None:
    runner = GatedRunner()
    runner.bad_value = value
    async with running(runner) as engine:
        with pytest.raises(RunnerFailure):
            await engine.predict(POISON, deadline=time.monotonic() + 5, priority=0)
        assert (await ask(engine, 128)).probability == 0.5


async def test_any_exception_of_the_runner_is_a_runner_failure_with_its_cause_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = GatedRunner()
    runner.poison = lambda: ZeroDivisionError("secret detail")
    async with running(runner) as engine:
        with caplog.at_level(logging.ERROR), pytest.raises(RunnerFailure) as caught:
            await engine.predict(POISON, deadline=time.monotonic() + 5, priority=0)
        assert (await ask(engine)).batch_size == 1
    assert "secret" not in str(caught.value)
    assert "secret detail" in caplog.text


async def test_an_answer_of_the_wrong_shape_is_a_runner_failure() -> None:
    class Short(GatedRunner):
        def run(self, images: ImageArray) -> RunnerOutput:
            output = super().run(images)
            return RunnerOutput(output.logits[:0], output.embeddings)

    async with running(Short()) as engine:
        with pytest.raises(RunnerFailure):
            await ask(engine)


@pytest.mark.parametrize("error", [ConfigError("say --model"), ValueError("boom"), RunnerFailure("no device")])
async def test_a_runner_that_cannot_warm_up_ends_the_start(error: Exception) -> None:
    class Broken(GatedRunner):
        def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
            raise error

    engine = Engine(Broken())
    with pytest.raises(ConfigError if isinstance(error, ConfigError) else RunnerFailure):
        await engine.start()
    with pytest.raises(EngineClosed):
        await ask(engine)


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
