"""A device that is lost, short of memory for good, or hung, is told from a model that fails."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time

import pytest

from streetvision.engine.device_health import (
    HUNG_BEATS,
    STRAINED_PASSES,
    STRAINED_SECONDS,
    WEIGHED_PASSES,
    DeviceHealth,
    Loss,
)
from streetvision.engine.types import DeviceLost, EngineError, Runner, RunnerFailure
from streetvision.errors import ConfigError

from .gated_runner import POISON, GatedRunner, ask, block, queue_up, running
from .several_models import Model
from .several_models import running as running_models
from .waiting import until

LOST = RuntimeError("CUDA error: unspecified launch failure")
FULL = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")


def kind(health: DeviceHealth) -> str | None:
    return None if health.loss is None else health.loss.kind


def fail(health: DeviceHealth, error: Exception, *, weighed: bool = False) -> None:
    with pytest.raises(type(error)), health.passing(weighed=weighed):
        raise error


def test_short_memory_is_a_loss_only_in_a_row_and_for_a_while() -> None:
    now = 100.0
    health = DeviceHealth(lambda: now)
    for _ in range(STRAINED_PASSES + 1):
        fail(health, FULL)  # a burst: another process may give the memory back
    assert kind(health) is None
    with health.passing():
        pass
    now += STRAINED_SECONDS
    for _ in range(STRAINED_PASSES):
        assert kind(health) is None
        fail(health, FULL)
        now += STRAINED_SECONDS
    assert health.loss == Loss("strained", f"3 forward passes in a row failed within 10 s: {FULL}")


@pytest.mark.parametrize(("every", "lost"), [(2, True), (3, False)])
@pytest.mark.parametrize("weighed", [True, False], ids=["a request each", "batches that are run again"])
def test_every_other_request_that_finds_no_memory_is_a_loss(every: int, lost: bool, weighed: bool) -> None:
    now = 100.0
    health = DeviceHealth(lambda: now)
    for number in range(2 * WEIGHED_PASSES):
        now += STRAINED_SECONDS
        if number % every:
            with health.passing(weighed=weighed):
                pass
        else:
            fail(health, FULL, weighed=weighed)
    assert kind(health) == ("strained" if lost and weighed else None)
    if health.loss is not None:
        assert health.loss.why == f"5 of the last 9 forward passes failed within 40 s: {FULL}"


def test_failures_of_a_model_are_no_loss() -> None:
    ticks = itertools.count(step=60)
    health = DeviceHealth(lambda: float(next(ticks)))
    for error in (ValueError("a defect"), RunnerFailure("the model's answer is not finite")) * 10:
        fail(health, error)
    assert kind(health) is None


def test_a_pass_that_does_not_end_is_a_loss_and_many_that_do_are_none() -> None:
    health = DeviceHealth(lambda: 0.0)
    for _ in range(3 * HUNG_BEATS):
        with health.passing():
            health.beat()
        health.beat()
    assert kind(health) is None
    with health.passing():
        for _ in range(HUNG_BEATS):
            health.beat()
        assert kind(health) is None
        health.beat()
    assert kind(health) == "hung"


async def test_a_lost_device_fails_the_batch_at_once_and_computes_nothing_again() -> None:
    runner = GatedRunner()
    runner.poison = lambda: LOST
    async with running(runner) as engine:
        first = await block(engine, runner)
        waiting = await queue_up(engine, [13, 50, 60])
        runner.gate.set()
        await first
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(answer) for answer in answers] == [DeviceLost] * 3
        assert len(runner.batches) == 2, "each alone would fail alike"
        assert engine.route.active.device.loss == Loss("lost", str(LOST))
        assert engine.stats().refused == {"device": 3}


async def test_a_batch_that_is_too_large_for_the_memory_is_answered_one_by_one() -> None:
    runner = GatedRunner()
    runner.poison = lambda: FULL
    async with running(runner) as engine:
        first = await block(engine, runner)
        waiting = await queue_up(engine, [13, 50, 60])
        runner.gate.set()
        await first
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(isinstance(answer, EngineError) for answer in answers) == 1
        assert engine.route.active.device.loss is None


async def test_every_other_request_that_finds_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.engine.device_health.STRAINED_SECONDS", 0.0)
    runner = GatedRunner()
    runner.poison = lambda: FULL
    async with running(runner) as engine:
        for _ in range(WEIGHED_PASSES // 2):
            assert engine.route.active.device.loss is None
            assert (await ask(engine)).batch_size == 1
            with pytest.raises(RunnerFailure):
                await engine.predict(POISON, deadline=time.monotonic() + 10.0, priority=0.0)
        assert kind(engine.route.active.device) == "strained"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), BaseExceptionGroup("all", [SystemExit(1)])])
async def test_a_runner_that_wants_to_leave_fails_its_batch_alone(error: BaseException) -> None:
    """Native code panics with an exception that is no Exception: the lane's thread would be gone, without a word."""
    runner = GatedRunner()

    def poison() -> Exception:
        raise error

    runner.poison = poison
    async with running(runner) as engine:
        with pytest.raises(RunnerFailure):
            await engine.predict(POISON, deadline=time.monotonic() + 2.0, priority=0.0)
        assert (await ask(engine)).batch_size == 1
        assert engine.stats().refused == {"runner": 1}


async def test_a_model_that_leaves_while_it_is_prepared() -> None:
    class Leaving(Model):
        def warmup(self, buckets: object) -> dict[int, float]:
            raise SystemExit(3)

    def leave() -> Runner:
        raise SystemExit(3)

    async with running_models(Model("1")) as engine:
        for make in (leave, lambda: Leaving("2")):
            with pytest.raises(RunnerFailure):
                await asyncio.wait_for(engine.prepare(make), 5.0)
    with pytest.raises(RunnerFailure):
        async with running_models(leave):
            pass


async def test_a_health_check_finds_it_too() -> None:
    runner = GatedRunner()
    runner.poison = lambda: LOST
    async with running(runner) as engine:
        with pytest.raises(DeviceLost):
            await engine.exercise(POISON, seconds=5.0)
        assert engine.route.active.device.loss is not None


@pytest.mark.parametrize("kind", [RuntimeError, ConfigError, RunnerFailure], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("when", ["load", "warm"])
async def test_it_is_lost_while_a_model_is_prepared(
    kind: type[Exception], when: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the room below makes of the error."""
    caplog.set_level(logging.ERROR)
    trouble = kind(str(LOST))

    class Broken(Model):
        def warmup(self, buckets: object) -> dict[int, float]:
            raise trouble

    def make() -> Runner:
        if when == "load":
            raise trouble
        return Broken("2")

    async with running_models(Model("1")) as engine:
        with pytest.raises(DeviceLost):
            await engine.prepare(make)
        assert "outside of a batch" not in caplog.text, "it is no defect of the model"


async def test_a_pass_that_hangs_is_seen_from_the_loop() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        hanging = await block(engine, runner)
        for _ in range(HUNG_BEATS + 1):
            engine.route.active.device.beat()
        assert kind(engine.route.active.device) == "hung"
        runner.gate.set()
        assert (await hanging).batch_size == 1
        await until(lambda: engine.stats().running == 0)
        assert (await ask(engine)).batch_size == 1
