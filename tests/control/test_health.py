"""Health: how late the loop is, forward passes that cost little, and what is counted of requests."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from streetvision.chain.metagraph import MetagraphSnapshot, Neuron
from streetvision.control.readiness import EVERY_S, LAG_LIMIT_S, Generator, LoopWatch, picture
from streetvision.control.request_metrics import RequestMetrics
from streetvision.engine.types import EngineError, Overloaded, Prediction, RunnerFailure, Timings

from ..conftest import Logbook

ANSWER = Prediction(0.25, -1.1, np.zeros(4, np.float32), "1.2.0", 1, 1, 224, 224, Timings(0.01, 0.02, 0.03))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_the_worst_lag_of_late_is_seen_and_forgotten() -> None:
    clock, beats, registry = Clock(), 0, CollectorRegistry()

    async def sleep(seconds: float) -> None:
        nonlocal beats
        beats += 1
        clock.now += seconds + (LAG_LIMIT_S + 1 if beats == 2 else 0.0)
        await asyncio.sleep(0)

    watch = LoopWatch(registry, clock=clock, sleep=sleep)
    task = asyncio.create_task(watch.run())
    while beats < 4:
        await asyncio.sleep(0)
    assert watch.worst == pytest.approx(LAG_LIMIT_S + 1)
    while beats < 40:
        await asyncio.sleep(0)
    assert watch.worst == pytest.approx(0.0)
    task.cancel()
    assert (registry.get_sample_value("streetvision_loop_lag_seconds_count") or 0) >= 38


class FakeEngine:
    def __init__(self) -> None:
        self.calls = 0
        self.error: EngineError | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def exercise(self, jpeg: bytes, *, seconds: float) -> Prediction:
        self.calls += 1
        assert jpeg.startswith(b"\xff\xd8")
        assert 9.0 < seconds < 60.0  # behind the validators' requests
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return ANSWER


class TestGenerator:
    async def test_nobody_burns_the_gpu(self) -> None:
        engine, clock, registry = FakeEngine(), Clock(), CollectorRegistry()
        generator = Generator(lambda: engine, registry, clock=clock)
        engine.go.clear()
        flood = [asyncio.create_task(generator.check()) for _ in range(50)]
        await asyncio.sleep(0)
        engine.go.set()
        passes = await asyncio.gather(*flood)
        assert engine.calls == 1
        assert {id(one) for one in passes} == {id(passes[0])}
        clock.now += EVERY_S - 0.1
        assert await generator.check() is passes[0]
        clock.now += 0.2
        assert (await generator.check()).prediction is ANSWER
        assert engine.calls == 2
        assert registry.get_sample_value("streetvision_health_generate_total", {"result": "ok"}) == 2

    @pytest.mark.parametrize("error", [RunnerFailure("the device is gone"), Overloaded("the queue is full")])
    async def test_it_fails_as_the_engine_does_and_recovers(self, error: EngineError) -> None:
        engine, clock = FakeEngine(), Clock()
        generator = Generator(lambda: engine, CollectorRegistry(), clock=clock)
        engine.error = error
        failed = await generator.check()
        assert (failed.prediction, failed.reason, failed.message) == (None, error.reason, str(error))
        engine.error = None
        assert (await generator.check()).prediction is None  # still the last result
        clock.now += EVERY_S + 0.1
        assert (await generator.check()).prediction is ANSWER

    async def test_before_the_model_is_warm(self) -> None:
        engine: FakeEngine | None = None
        generator = Generator(lambda: engine, CollectorRegistry())
        assert (await generator.check()).reason == "starting"
        engine = FakeEngine()
        assert (await generator.check()).reason == "ok"  # at once: no forward pass was spent before

    async def test_a_caller_that_leaves_takes_nothing_along(self) -> None:
        engine = FakeEngine()
        generator = Generator(lambda: engine, CollectorRegistry())
        engine.go.clear()
        first, second = (asyncio.create_task(generator.check()) for _ in range(2))
        while not engine.calls:
            await asyncio.sleep(0.001)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        engine.go.set()
        assert (await second).prediction is ANSWER
        assert engine.calls == 1

    async def test_closing_ends_a_pass_that_hangs(self) -> None:
        engine = FakeEngine()
        generator = Generator(lambda: engine, CollectorRegistry())
        engine.go.clear()
        waiting = asyncio.create_task(generator.check())
        while not engine.calls:
            await asyncio.sleep(0.001)
        await asyncio.wait_for(generator.close(), 5)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    def test_the_picture_is_a_small_jpeg(self) -> None:
        assert 2_000 < len(picture()) < 40_000
        assert picture() == picture()


def snapshot(*permitted: int) -> MetagraphSnapshot:
    neurons = tuple(
        Neuron(uid, f"key{uid}", "cold", uid in permitted, 5.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, None) for uid in range(300)
    )
    return MetagraphSnapshot(72, 1, 0.0, 360, "owner", 256, neurons)


class TestRequestMetrics:
    def value(self, registry: CollectorRegistry, uid: str, outcome: str) -> float | None:
        labels = {"uid": uid, "outcome": outcome}
        return registry.get_sample_value("streetvision_validator_requests_total", labels)

    def test_only_permitted_validators_become_labels(self, logbook: Logbook) -> None:
        registry = CollectorRegistry()
        metrics = RequestMetrics(registry)
        metrics.on_snapshot(None, snapshot(3, 7))
        record = logbook.record(b"", logbook.answer(0.25), uid=3)
        for uid in (*range(300), None):
            metrics(replace(record, uid=uid))
        assert self.value(registry, "3", "answered") == 1
        assert self.value(registry, "7", "answered") == 1
        assert self.value(registry, "other", "answered") == 299
        families = {family.name: family for family in registry.collect()}
        assert {s.labels["uid"] for s in families["streetvision_validator_requests"].samples} == {"3", "7", "other"}
        last = families["streetvision_validator_last_request_timestamp_seconds"].samples
        assert {sample.value for sample in last} == {record.arrival}
        metrics.on_snapshot(None, snapshot(3, 7, 9))
        assert self.value(registry, "9", "answered") == 0

    def test_strangers_are_not_counted(self, logbook: Logbook) -> None:
        registry = CollectorRegistry()
        metrics = RequestMetrics(registry)
        metrics(replace(logbook.record(b"", None), authenticated=False, status=403))
        assert self.value(registry, "other", "failed") == 0

    def test_a_permit_that_goes_takes_no_count_along(self, logbook: Logbook) -> None:
        registry = CollectorRegistry()
        metrics = RequestMetrics(registry)
        record = logbook.record(b"", logbook.answer(0.25), uid=3)
        for permitted in ((3,), (), (3,)):
            metrics.on_snapshot(None, snapshot(*permitted))
            metrics(record)
        assert self.value(registry, "3", "answered") == 2
        assert self.value(registry, "other", "answered") == 1

    def test_what_is_measured_of_an_answer(self, logbook: Logbook) -> None:
        registry = CollectorRegistry()
        metrics = RequestMetrics(registry)
        metrics.on_snapshot(None, snapshot(12))
        metrics(logbook.record(b"", logbook.answer(0.75)))
        metrics(logbook.record(b"", None))
        assert self.value(registry, "12", "answered") == 1
        assert self.value(registry, "12", "failed") == 1
        assert registry.get_sample_value("streetvision_request_seconds_sum") == pytest.approx(0.0103)
        assert registry.get_sample_value("streetvision_request_headroom_seconds_sum") == pytest.approx(4.5)
        assert registry.get_sample_value("streetvision_request_score_bucket", {"le": "0.7"}) == 0
        assert registry.get_sample_value("streetvision_request_score_bucket", {"le": "0.8"}) == 1
