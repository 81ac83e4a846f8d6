"""Lanes over real models on the CPU: no request fails, nothing compiles beside serving, memory goes at once."""

from __future__ import annotations

import asyncio
import gc
import io
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch._dynamo.utils import counters

from streetvision.engine.engine import Engine
from streetvision.engine.types import Prediction
from streetvision.models.config import ModelConfig
from streetvision.models.folder import bundled_checkpoint
from streetvision.models.network import LoadedModel, StreetVisionNet, build, tiny_config
from streetvision.runner.torch_runner import TorchRunner

ONE = replace(tiny_config(depth=3, width=64, version="1.0.0"), input_size=48)
TWO = replace(tiny_config(depth=3, width=64, version="2.0.0"), input_size=48)
DEEPER = replace(tiny_config(depth=5, width=64, version="3.0.0"), input_size=48)
OTHER = replace(tiny_config(depth=2, width=128, version="4.0.0"), input_size=64)


@pytest.fixture(scope="module", autouse=True)
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


class Maker:
    """Makes runners of random weights and remembers the networks without keeping them."""

    def __init__(self) -> None:
        self.nets: list[weakref.ref[StreetVisionNet]] = []

    def __call__(self, config: ModelConfig) -> TorchRunner:
        torch.manual_seed(len(self.nets))
        net = build(config)
        self.nets.append(weakref.ref(net))
        model = LoadedModel(net, config)
        return TorchRunner(model, device="cpu", buckets=(1, 2), threads=2, fast=False)

    @property
    def alive(self) -> list[bool]:
        return [net() is not None for net in self.nets]


def photo() -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(3).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


@asynccontextmanager
async def steady(engine: Engine) -> AsyncIterator[list[Prediction]]:
    """Two callers with pauses, as real traffic has; an error of either fails the test."""
    answers: list[Prediction] = []
    over, data = asyncio.Event(), photo()

    async def caller() -> None:
        while not over.is_set():
            answers.append(await engine.predict(data, deadline=time.monotonic() + 60, priority=0.0))
            await asyncio.sleep(0.03)

    tasks = [asyncio.create_task(caller()) for _ in range(2)]
    try:
        yield answers
    finally:
        over.set()
        await asyncio.gather(*tasks)


async def swap(engine: Engine, make: Maker, config: ModelConfig, answers: list[Prediction]) -> None:
    """Until the new model answers."""
    lane = await engine.prepare(lambda: make(config))
    old = engine.activate(lane)
    assert old is not None
    goal = len(answers) + 6
    await engine.retire(old)
    while len(answers) < goal:
        await asyncio.sleep(0.005)
    assert answers[-1].model_version == config.version


def graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


async def test_swaps_under_load_compile_nothing_and_free_what_is_old() -> None:
    make = Maker()
    engine = Engine(lambda: make(ONE))
    await engine.start()
    gc.collect()
    gc.disable()
    try:
        async with steady(engine) as answers:
            compiled = graphs()
            for swaps, config in enumerate((TWO, DEEPER, ONE, OTHER), start=1):
                await swap(engine, make, config, answers)
                assert make.alive == [False] * swaps + [True]
            assert graphs() == compiled
    finally:
        gc.enable()
        await engine.close()
    assert engine.stats().refused == {}
    assert {answer.model_version for answer in answers} == {"1.0.0", "2.0.0", "3.0.0", "4.0.0"}


async def test_the_bundled_model_takes_over_from_another_size_under_load() -> None:
    make = Maker()
    engine = Engine(lambda: make(ONE))
    await engine.start()
    try:
        async with steady(engine) as answers:
            lane = await engine.prepare(
                lambda: TorchRunner(bundled_checkpoint(), device="cpu", buckets=(1, 2), threads=2)
            )
            golden = np.random.default_rng(0).integers(0, 256, (3, lane.input_size, lane.input_size, 3), np.uint8)
            checked = await lane.check(golden)
            engine.activate(lane)
            while answers[-1].model_version == "1.0.0":
                await asyncio.sleep(0.005)
        assert checked.logits.shape == (3,)
        assert np.isfinite(checked.logits).all()
        assert engine.stats().refused == {}
    finally:
        await engine.close()
