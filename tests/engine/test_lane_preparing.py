"""A model is prepared beside one that serves: it stands back, fails alone, and can be given up."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest

from streetvision.engine import preparing
from streetvision.engine.background_priority import NICE
from streetvision.engine.types import EngineClosed, PrepareStep, Runner, RunnerFailure, RunnerOutput
from streetvision.errors import ConfigError

from .several_models import Model, ask, broken_maker, more, running, steady
from .waiting import until


def _same(model: Model) -> Runner:
    return model


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
