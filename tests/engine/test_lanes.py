"""Several models in one engine: switched, taken down, checked and counted, while requests keep coming."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from streetvision.engine.engine import Engine
from streetvision.engine.lanes import Lane
from streetvision.engine.types import EngineClosed, Runner, RunnerFailure
from streetvision.engine.workers import Workers
from streetvision.errors import ConfigError

from .several_models import Model, ask, broken_maker, more, running, steady
from .waiting import until


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
