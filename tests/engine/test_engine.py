"""The engine end to end over a runner that tests control: what becomes of each request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

import numpy as np
import pytest

from streetvision.engine.decode import DecodeLimits
from streetvision.engine.engine import Engine
from streetvision.engine.types import (
    BadImage,
    DeadlineMissed,
    EngineClosed,
    ImageArray,
    Overloaded,
    Prediction,
    RunnerFailure,
    RunnerOutput,
)
from streetvision.errors import ConfigError

from .gated_runner import POISON, SIDE, GatedRunner, ask, block, photo, queue_up, running
from .waiting import until


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
        assert engine.stats().refused == {"bad_image": 3, "image_too_large": 1}
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
