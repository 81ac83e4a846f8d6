"""A health check's picture takes the engine's whole way, behind everybody, and is told to nobody."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from streetvision.engine.engine import Engine
from streetvision.engine.types import (
    DeadlineMissed,
    EngineClosed,
    ImageArray,
    Outcome,
    RunnerFailure,
    RunnerOutput,
)


def photo(grey: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (24, 24), grey).save(out, "JPEG", quality=95)
    return out.getvalue()


class Model:
    """Answers with the mean grey level; may wait or fail."""

    version, input_size, resize, buckets = "1.0.0", 16, "squash", (1,)

    def __init__(self) -> None:
        self.gate, self.entered, self.broken = threading.Event(), threading.Event(), False
        self.gate.set()
        self.seen: list[int] = []

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        return dict.fromkeys(buckets, 0.001)

    def run(self, images: ImageArray) -> RunnerOutput:
        self.entered.set()
        assert self.gate.wait(20)
        if self.broken:
            raise RunnerFailure("device error")
        self.seen.append(round(float(images.mean())))
        return RunnerOutput(np.ones(len(images), np.float32), np.ones((len(images), 4), np.float32))


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def engine(model: Model, registry: CollectorRegistry) -> AsyncIterator[Engine]:
    engine = Engine(model, registry=registry)
    await engine.start()
    yield engine
    model.gate.set()
    await engine.close()


async def test_it_is_a_real_pass_that_nobody_hears_of(
    engine: Engine, model: Model, registry: CollectorRegistry
) -> None:
    heard: list[Outcome] = []
    engine.add_listener(heard.append)
    candidate = await engine.prepare(Model)
    engine.canary(candidate, 1.0)
    prediction = await engine.exercise(photo(100), seconds=5.0)
    assert prediction.model_version == "1.0.0"
    assert len(model.seen) == 1  # the active model, though every picture is the canary's
    stats = engine.stats()
    assert (heard, stats.answered, stats.compared) == ([], 0, {})
    assert stats.batches == {1: 1}
    assert registry.get_sample_value("streetvision_engine_seconds_count", {"stage": "queue"}) is not None


async def test_it_goes_behind_whoever_waits(engine: Engine, model: Model) -> None:
    model.gate.clear()
    now = time.monotonic()
    first = asyncio.create_task(engine.predict(photo(10), deadline=now + 8.5, priority=0.0))
    assert await asyncio.to_thread(model.entered.wait, 10)
    check = asyncio.create_task(engine.exercise(photo(200), seconds=10.0))
    while not engine.stats().queued:
        await asyncio.sleep(0.001)
    second = asyncio.create_task(engine.predict(photo(60), deadline=now + 8.9, priority=0.0))
    while engine.stats().queued < 2:
        await asyncio.sleep(0.001)
    model.gate.set()
    await asyncio.gather(first, check, second)
    assert [round(value, -1) for value in model.seen] == [10, 60, 200]


async def test_its_failures_are_not_the_requests(engine: Engine, model: Model) -> None:
    model.broken = True
    with pytest.raises(RunnerFailure):
        await engine.exercise(photo(100), seconds=5.0)
    assert engine.stats().refused == {}
    model.broken = False
    model.gate.clear()
    with pytest.raises(DeadlineMissed):
        await engine.exercise(photo(100), seconds=0.2)
    assert engine.stats().refused == {}


async def test_a_closed_engine_says_so(engine: Engine) -> None:
    await engine.close()
    with pytest.raises(EngineClosed):
        await engine.exercise(photo(100), seconds=5.0)
