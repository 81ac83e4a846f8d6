"""Several models in one engine: prepared, switched, taken down, while requests keep coming."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from streetvision.engine import preparing
from streetvision.engine.deference import NICE
from streetvision.engine.engine import Engine
from streetvision.engine.lanes import Lane
from streetvision.engine.types import (
    EngineClosed,
    ImageArray,
    Prediction,
    PrepareStep,
    Runner,
    RunnerFailure,
    RunnerOutput,
)
from streetvision.engine.workers import Workers
from streetvision.errors import ConfigError


def photo(grey: int, side: int = 24) -> bytes:
    out = io.BytesIO()
    Image.new("L", (side, side), grey).save(out, "PNG")
    return out.getvalue()


class Model:
    """Answers each image with `sign` times its grey level; waits at a gate, in `run` and in `warmup`."""

    def __init__(self, version: str, *, side: int = 16, buckets: tuple[int, ...] = (1, 2, 4), sign: int = 1) -> None:
        self.version, self.input_size, self.buckets, self.sign = version, side, buckets, sign
        self.resize = "squash"
        self.gate, self.warm_gate = threading.Event(), threading.Event()
        self.gate.set()
        self.warm_gate.set()
        self.entered = threading.Event()
        self.calls: list[tuple[str, str, int]] = []
        self.warm_nice: list[int] = []
        self.closed = 0
        self.spoil: Callable[[RunnerOutput], RunnerOutput] = lambda output: output
        self._busy = threading.Lock()

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        self._note("warm", len(buckets))
        self.warm_nice.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        assert self.warm_gate.wait(20)
        return dict.fromkeys(buckets, 0.001)

    def run(self, images: ImageArray) -> RunnerOutput:
        assert self._busy.acquire(blocking=False), "two passes at once"
        try:
            self._note("run", len(images))
            self.entered.set()
            assert images.shape[1:] == (self.input_size, self.input_size, 3)
            assert self.gate.wait(20)
            logits = self.sign * images[:, 0, 0, 0].astype(np.float32)
            return self.spoil(RunnerOutput(logits, logits[:, None]))
        finally:
            self._busy.release()

    def close(self) -> None:
        self.closed += 1

    def _note(self, what: str, size: int) -> None:
        self.calls.append((what, threading.current_thread().name, size))


@asynccontextmanager
async def running(model: Runner | Callable[[], Runner], **options: Any) -> AsyncIterator[Engine]:
    engine = Engine(model, **options)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def ask(engine: Engine, grey: int = 100, seconds: float = 10.0) -> Prediction:
    return await engine.predict(photo(grey), deadline=time.monotonic() + seconds, priority=0.0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def steady(engine: Engine, callers: int = 3) -> AsyncIterator[list[Prediction]]:
    """Callers that ask one after the other; an error of any fails the test."""
    answers: list[Prediction] = []
    over = False

    async def caller(grey: int) -> None:
        while not over:
            answers.append(await ask(engine, grey))
            await asyncio.sleep(0.001)

    tasks = [asyncio.create_task(caller(50 + index)) for index in range(callers)]
    try:
        yield answers
    finally:
        over = True
        await asyncio.gather(*tasks)


async def more(answers: list[Prediction], count: int = 10) -> None:
    """Until the callers got so many more answers."""
    goal = len(answers) + count
    await until(lambda: len(answers) >= goal)


async def test_a_switch_under_load_fails_nobody_and_each_answer_names_its_model() -> None:
    first, second = Model("1.0.0"), Model("2.0.0", sign=-1)
    async with running(first) as engine, steady(engine) as answers:
        old = engine.route.active
        await more(answers)
        lane = await engine.prepare(lambda: second)
        await more(answers)
        assert {answer.model_version for answer in answers} == {"1.0.0"}
        assert engine.activate(lane) is old
        await more(answers)
        assert answers[-1].model_version == "2.0.0"
        await engine.retire(old)
        await more(answers)
        assert engine.lanes == (lane,)
        assert (first.closed, second.closed) == (1, 0)
    assert all(np.sign(answer.logit) == (1 if answer.model_version == "1.0.0" else -1) for answer in answers)
    stats = engine.stats()
    assert (stats.refused, stats.switches, stats.cancelled) == ({}, 1, 0)


async def test_rolling_back_to_the_standby_is_instant() -> None:
    async with running(Model("1.0.0")) as engine:
        old = engine.route.active
        lane = await engine.prepare(lambda: Model("2.0.0"))
        engine.activate(lane)
        assert (await ask(engine)).model_version == "2.0.0"
        assert engine.activate(old) is lane
        assert (await ask(engine)).model_version == "1.0.0"
        assert engine.activate(old) is None
        assert engine.stats().switches == 2


async def test_a_model_of_another_input_size_and_other_buckets_takes_over() -> None:
    async with running(Model("1.0.0", side=16)) as engine, steady(engine) as answers:
        lane = await engine.prepare(lambda: Model("2.0.0", side=32, buckets=(1, 8)))
        engine.activate(lane)
        await more(answers, 20)
        assert answers[-1].model_version == "2.0.0"


async def test_preparing_stands_back_and_serving_has_its_own_thread() -> None:
    model = Model("2.0.0", buckets=(1, 4))
    steps: list[PrepareStep] = []
    here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    interval = sys.getswitchinterval()
    async with running(Model("1.0.0")) as engine:
        lane = await engine.prepare(lambda: model, progress=steps.append)
        assert model.calls == [
            ("warm", "background-0", 1),
            ("warm", "background-0", 1),
            ("warm", "runner-0", 0),
            ("run", "runner-0", 1),
            ("run", "runner-0", 4),
        ]
        if sys.platform == "linux":
            assert model.warm_nice == [max(here, NICE)] * 2 + [here]
        assert sys.getswitchinterval() == interval
        engine.activate(lane)
        model.calls.clear()
        await ask(engine)
    assert model.calls == [("run", "runner-0", 1)]
    assert [(step.stage, step.bucket, step.done, step.total) for step in steps] == [
        ("load", None, 1, 5),
        ("warm", 4, 2, 5),
        ("warm", 1, 3, 5),
        ("touch", 1, 4, 5),
        ("touch", 4, 5, 5),
    ]


async def test_a_batch_that_would_keep_requests_waiting_is_not_tried_on_the_serving_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preparing, "TOUCH_SECONDS", 0.0)
    model = Model("2.0.0", buckets=(1, 4, 8))
    steps: list[PrepareStep] = []
    async with running(Model("1.0.0")) as engine:
        lane = await engine.prepare(lambda: model, progress=steps.append)
        assert [call for call in model.calls if call[0] == "run"] == [("run", "runner-0", 1)]
        assert lane.cost.predict(8) > 0
    assert [(step.stage, step.bucket) for step in steps[1:]] == [("warm", 8), ("warm", 4), ("warm", 1), ("touch", 1)]
    assert (steps[-1].done, steps[-1].total) == (5, 5)


def broken_maker() -> Runner:
    raise ConfigError("The checkpoint does not fit.")


def buggy_maker() -> Runner:
    raise KeyError("blocks")


def with_warmup(error: Exception) -> Model:
    class Cold(Model):
        def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
            raise error

    return Cold("2.0.0")


def spoiled(spoil: Callable[[RunnerOutput], RunnerOutput]) -> Model:
    model = Model("2.0.0")
    model.spoil = spoil
    return model


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (broken_maker, ConfigError),
        (buggy_maker, RunnerFailure),
        (lambda: with_warmup(RunnerFailure("NaN")), RunnerFailure),
        (lambda: with_warmup(MemoryError()), RunnerFailure),
        (lambda: spoiled(lambda output: RunnerOutput(output.logits * np.nan, output.embeddings)), RunnerFailure),
        (lambda: spoiled(lambda output: RunnerOutput(output.logits[:0], output.embeddings)), RunnerFailure),
        (lambda: Model("2.0.0", buckets=()), RunnerFailure),
    ],
    ids=["checkpoint", "bug", "cold", "memory", "nan", "shape", "buckets"],
)
async def test_a_model_that_cannot_be_prepared_leaves_serving_alone(
    make: Callable[[], Runner], error: type[Exception]
) -> None:
    before = set(threading.enumerate())
    async with running(Model("1.0.0")) as engine, steady(engine) as answers:
        threads = set(threading.enumerate())
        with pytest.raises(error):
            await engine.prepare(make)
        assert len(engine.lanes) == 1
        await more(answers)
        await until(lambda: set(threading.enumerate()) <= threads)
        lane = await engine.prepare(lambda: Model("3.0.0"))
        assert engine.activate(lane) is not None
    await until(lambda: set(threading.enumerate()) <= before)


@pytest.mark.parametrize("stage", ["load", "warm", "touch"])
async def test_cancelling_a_preparation_frees_what_it_made(stage: str) -> None:
    model = Model("2.0.0")
    gate = {"load": threading.Event(), "warm": model.warm_gate, "touch": model.gate}[stage]
    gate.clear()
    began = threading.Event()

    def make() -> Runner:
        began.set()
        assert stage != "load" or gate.wait(20)
        return model

    async with running(Model("1.0.0")) as engine, steady(engine) as answers:
        threads = set(threading.enumerate())
        preparing = asyncio.create_task(engine.prepare(make))
        wanted = {"load": began.is_set, "warm": lambda: bool(model.calls), "touch": model.entered.is_set}[stage]
        await until(wanted)
        preparing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await preparing
        assert len(engine.lanes) == 1
        await more(answers)
        gate.set()
        await until(lambda: set(threading.enumerate()) <= threads)
        assert model.closed == (0 if stage == "load" else 1)


@pytest.mark.parametrize("stage", ["load", "warm", "touch"])
async def test_closing_the_engine_ends_a_preparation(stage: str) -> None:
    model = Model("2.0.0")
    gate = {"load": threading.Event(), "warm": model.warm_gate, "touch": model.gate}[stage]
    gate.clear()

    def make() -> Runner:
        assert stage != "load" or gate.wait(20)
        return model

    before = set(threading.enumerate())
    async with running(Model("1.0.0")) as engine:
        preparing = asyncio.create_task(engine.prepare(make))
        second = asyncio.create_task(engine.prepare(lambda: Model("3.0.0")))
        wanted = {"load": lambda: True, "warm": lambda: bool(model.calls), "touch": model.entered.is_set}[stage]
        await asyncio.sleep(0.01)
        await until(wanted)
        await engine.close(0.01)
        for task in (preparing, second):
            with pytest.raises(EngineClosed):
                await task
        gate.set()
    await until(lambda: set(threading.enumerate()) <= before)


def _same(model: Model) -> Runner:
    return model


async def test_one_model_is_prepared_at_a_time() -> None:
    first, second = Model("2.0.0"), Model("3.0.0")
    first.warm_gate.clear()
    async with running(Model("1.0.0")) as engine:
        tasks = [asyncio.create_task(engine.prepare(partial(_same, model))) for model in (first, second)]
        await until(lambda: bool(first.calls))
        await asyncio.sleep(0.02)
        assert not second.calls
        first.warm_gate.set()
        lanes = await asyncio.gather(*tasks)
        assert [lane.version for lane in lanes] == ["2.0.0", "3.0.0"]


async def test_a_busy_lane_answers_what_it_holds_before_it_goes() -> None:
    first = Model("1.0.0")
    async with running(first) as engine:
        old = engine.route.active
        lane = await engine.prepare(lambda: Model("2.0.0"))
        first.gate.clear()
        first.entered.clear()
        held = [asyncio.create_task(ask(engine, grey)) for grey in (10, 20, 30, 40, 50)]
        await until(first.entered.is_set)
        await until(lambda: old.stats().queued == 4)
        engine.activate(lane)
        retiring = asyncio.create_task(engine.retire(old))
        assert (await ask(engine)).model_version == "2.0.0"
        assert not retiring.done()
        first.gate.set()
        assert {answer.model_version for answer in await asyncio.gather(*held)} == {"1.0.0"}
        await retiring
        assert old.stats().retired
        assert first.closed == 1
        uses: list[Callable[[], object]] = [
            lambda: engine.activate(old),
            lambda: engine.canary(old, 0.5),
            lambda: engine.shadow(old, 0.5),
        ]
        for use in uses:
            with pytest.raises(EngineClosed):
                use()
        with pytest.raises(EngineClosed):
            await old.check(np.zeros((1, 16, 16, 3), np.uint8))


async def test_a_lane_that_hangs_is_left_behind_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streetvision.engine.engine.RETIRE_GRACE", 0.05)
    first = Model("1.0.0")
    async with running(first) as engine:
        old = engine.route.active
        lane = await engine.prepare(lambda: Model("2.0.0"))
        first.gate.clear()
        stuck = asyncio.create_task(ask(engine, seconds=0.3))
        await until(first.entered.is_set)
        engine.activate(lane)
        await engine.retire(old)
        assert isinstance((await asyncio.gather(stuck, return_exceptions=True))[0], Exception)
        assert "left behind" in caplog.text
        assert (await ask(engine)).model_version == "2.0.0"
        assert first.closed == 0
        first.gate.set()


async def test_the_active_lane_is_not_retired() -> None:
    async with running(Model("1.0.0")) as engine:
        with pytest.raises(ValueError, match="activate another one"):
            await engine.retire(engine.route.active)
        assert (await ask(engine)).model_version == "1.0.0"


async def test_a_retired_model_is_garbage_at_once() -> None:
    async with running(Model("1.0.0")) as engine:
        old = await engine.prepare(lambda: Model("2.0.0"))
        engine.activate(old)
        await ask(engine)
        runner = weakref.ref(old.runner)
        engine.activate(await engine.prepare(lambda: Model("3.0.0")))
        gc.disable()
        try:
            await engine.retire(old)
            await until(lambda: runner() is None)
        finally:
            gc.enable()
        with pytest.raises(EngineClosed):
            _ = old.runner
        await engine.retire(old)


async def test_the_first_model_may_be_made_by_the_engine() -> None:
    threads: list[str] = []

    def make() -> Runner:
        threads.append(threading.current_thread().name)
        return Model("1.0.0")

    async with running(make) as engine:
        assert (await ask(engine)).model_version == "1.0.0"
    assert threads != [threading.main_thread().name]
    with pytest.raises(ConfigError):
        await Engine(broken_maker).start()


async def test_a_check_runs_any_number_of_images_between_batches() -> None:
    model = Model("2.0.0", buckets=(1, 2))
    async with running(Model("1.0.0")) as engine:
        lane = await engine.prepare(lambda: model)
        model.calls.clear()
        images = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(16, 1).repeat(16, 2).repeat(3, 3)
        output = await lane.check(images)
        assert output.logits.tolist() == [0, 1, 2, 3, 4]
        assert output.embeddings.shape == (5, 1)
        assert model.calls == [("run", "background-0", size) for size in (2, 2, 1)]
        engine.activate(lane)
        asking = [asyncio.create_task(ask(engine, grey)) for grey in range(20, 30)]
        assert (await lane.check(images)).logits.tolist() == [0, 1, 2, 3, 4]
        assert [answer.logit for answer in await asyncio.gather(*asking)] == list(range(20, 30))
        with pytest.raises(RunnerFailure):
            await lane.check(np.zeros((1, 8, 8, 3), np.uint8))
        assert (await ask(engine)).model_version == "2.0.0"


async def test_lanes_and_switches_are_counted() -> None:
    registry = CollectorRegistry()
    async with running(Model("1.0.0"), registry=registry) as engine:
        lane = await engine.prepare(lambda: Model("2.0.0"))
        assert registry.get_sample_value("streetvision_engine_lanes") == 2
        old: Lane | None = engine.activate(lane)
        assert old is not None
        await engine.retire(old)
        assert registry.get_sample_value("streetvision_engine_lanes") == 1
        assert registry.get_sample_value("streetvision_engine_switches_total") == 1
        assert lane.stats().answered == 0
        await ask(engine)
        assert (lane.stats().answered, lane.stats().held) == (1, 0)


async def test_a_worker_that_cannot_be_set_up_works_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    def begin() -> None:
        raise PermissionError

    workers = Workers(1, "test", begin=begin)
    assert await workers.submit(lambda: 7) == 7
    assert "could not be set up" in caplog.text
    assert await workers.stop(EngineClosed("over"), 5.0)
    with pytest.raises(EngineClosed):
        await workers.submit(lambda: 7)
