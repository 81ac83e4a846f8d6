"""Large photos: many at once within one budget of memory, small ones meanwhile, and what never fits refused by name."""

from __future__ import annotations

import asyncio
import io
import time
from functools import cache

import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from streetvision.engine.decode import DecodeLimits
from streetvision.engine.engine import Engine
from streetvision.engine.types import ImageTooLarge, Overloaded, Prediction
from streetvision.miner.from_settings import axon_config, decode_limits
from streetvision.models.views import parse_view
from streetvision.settings.settings import Settings

from .gated_runner import GatedRunner, ask, running
from .memory_of_decoding import estimate
from .test_view_improver import Seer, ensemble
from .waiting import until

MIB = 2**20


@cache
def large(progressive: bool = True, width: int = 2000, height: int = 1500) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 200, 200)).save(out, "JPEG", progressive=progressive)
    return out.getvalue()


async def send(engine: Engine, data: bytes, seconds: float = 60.0) -> Prediction:
    return await engine.predict(data, deadline=time.monotonic() + seconds, priority=0.0)


@pytest.mark.parametrize(("width", "height"), [(6000, 4000), (8160, 6120)])
@pytest.mark.parametrize("progressive", [False, True])
async def test_photos_of_24_and_50_megapixels_are_answered_by_default(
    width: int, height: int, progressive: bool
) -> None:
    async with running(GatedRunner()) as engine:
        answer = await send(engine, large(progressive, width, height))
    assert (answer.width, answer.height) == (width, height)


async def test_many_threads_share_one_budget_and_all_are_answered() -> None:
    limits = DecodeLimits(max_memory=int(1.5 * estimate(large(), 16)))
    async with running(GatedRunner(), limits=limits, decode_threads=4) as engine:
        most, memory = 0, engine._decode_queue._memory
        asked = [asyncio.create_task(send(engine, large())) for _ in range(8)]
        asked += [asyncio.create_task(ask(engine, 140 + n)) for n in range(8)]
        while not all(task.done() for task in asked):
            most = max(most, memory.used)
            await asyncio.sleep(0)
        answers = await asyncio.gather(*asked)
        assert {answer.width for answer in answers} == {2000, 16}
        assert most <= limits.max_memory
        assert (memory.used, memory.waiting) == (0, 0)


async def test_a_photo_that_waits_for_memory_takes_no_thread_and_is_refused_in_time() -> None:
    async with running(GatedRunner(), limits=DecodeLimits(max_memory=64 * MIB), decode_threads=1) as engine:
        memory = engine._decode_queue._memory
        with memory.held(60 * MIB, time.monotonic() + 60):
            waits = asyncio.create_task(send(engine, large()))
            await until(lambda: memory.waiting == 1)
            await ask(engine, 150, seconds=30.0)
            with pytest.raises(Overloaded, match="too many large images"):
                await send(engine, large(), seconds=0.4)
            assert not waits.done()
        await waits
        assert engine.stats().refused == {"overloaded": 1}


async def test_closing_the_engine_ends_the_wait_for_memory() -> None:
    engine = Engine(GatedRunner(), limits=DecodeLimits(max_memory=64 * MIB))
    await engine.start()
    memory = engine._decode_queue._memory
    with memory.held(60 * MIB, time.monotonic() + 60):
        waits = asyncio.create_task(send(engine, large()))
        await until(lambda: memory.waiting == 1)
        await engine.close()
        assert "shutting down" in str((await asyncio.gather(waits, return_exceptions=True))[0])


async def test_what_never_fits_is_refused_by_a_name_of_its_own() -> None:
    limits = DecodeLimits(max_memory=4 * MIB, max_pixels=3_000_000)
    async with running(GatedRunner(), limits=limits) as engine:
        with pytest.raises(ImageTooLarge, match="MiB to decode, more than 4"):
            await send(engine, large())
        with pytest.raises(ImageTooLarge, match="more than 3000000 pixels"):
            await send(engine, large(width=2001))
        assert (await send(engine, large(progressive=False))).width == 2000
        assert engine.stats().refused == {"image_too_large": 2}


async def test_a_photo_without_its_end_is_answered_and_the_answer_and_a_counter_say_so() -> None:
    registry = CollectorRegistry()
    async with running(GatedRunner(), registry=registry) as engine:
        assert (await send(engine, large()[:-2])).decoded == 1.0
        assert (await send(engine, large())).decoded is None
    assert registry.get_sample_value("streetvision_engine_incomplete_total") == 1


async def test_where_memory_is_short_a_photo_loses_views_and_not_its_answer() -> None:
    views = ["plain", "tiles:4x4"]
    assert parse_view(views[1]).tiled
    for memory, passes in ((4 * MIB, 1), (512 * MIB, 17)):
        runner = ensemble(Seer(side=64), views=views)
        engine = Engine(runner, limits=DecodeLimits(max_memory=memory), view_seconds=30.0)
        await engine.start()
        try:
            assert (await send(engine, large(progressive=False))).views == passes
        finally:
            await engine.close()


@pytest.mark.parametrize("mib", [1, 48, 512])
def test_body_limit_file_limit_and_the_memory_for_bodies_agree(mib: int) -> None:
    settings = Settings(axon_max_body_mib=mib)
    axon, limits = axon_config(settings, "5Own"), decode_limits(settings)
    assert axon.max_body_bytes == mib * MIB
    assert limits.max_bytes >= 3 * axon.max_body_bytes // 4
    assert axon.unverified_body_budget >= axon.max_body_bytes
    assert axon.verified_body_budget >= 2 * axon.max_body_bytes


def test_the_settings_bound_pixels_and_memory() -> None:
    assert decode_limits(Settings()) == DecodeLimits()
    limits = decode_limits(Settings(engine_max_megapixels=12, engine_decode_memory_mib=64))
    assert (limits.max_pixels, limits.max_memory) == (12_000_000, 64 * MIB)
