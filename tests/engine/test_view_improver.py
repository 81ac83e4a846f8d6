"""Further views in the running engine: all when idle, none at another's cost, and an answer in hand never lost."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from prometheus_client import CollectorRegistry

from streetvision.engine import view_improver as improving
from streetvision.engine.decode import DecodeLimits, decode_looks
from streetvision.engine.engine import Engine
from streetvision.engine.ensemble import EnsembleRunner, Sight
from streetvision.engine.types import ImageArray, Prediction, Runner, RunnerFailure, RunnerOutput
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.ensemble import EnsembleConfig, Member
from streetvision.models.network import build, tiny_config
from streetvision.runner.opening import open_runner

from ..photos import photos

FLIPS = ("plain", "hflip", "vflip", "rot180")


def photo(left: int = 10, right: int = 200) -> bytes:
    """A PNG whose flips differ: one grey on the left half, another on the right."""
    pixels = np.full((32, 32), right, np.uint8)
    pixels[:, :16] = left
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


class Seer:
    """Answers each image with `factor` times the grey of its top left pixel; waits at a gate for every run."""

    version = "seer"
    resize = "squash"

    def __init__(self, factor: float = 0.01, side: int = 16, seconds: float = 0.0001, *, pause: float = 0.0) -> None:
        self.factor, self.input_size, self.seconds, self.pause = factor, side, seconds, pause
        self.buckets = (1, 2, 4, 8)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.runs: list[int] = []
        self.fails: Callable[[], bool] = lambda: False

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        return {size: self.seconds * size for size in buckets}

    def run(self, images: ImageArray) -> RunnerOutput:
        assert images.shape[1:] == (self.input_size, self.input_size, 3)
        self.runs.append(len(images))
        self.entered.set()
        time.sleep(self.pause)
        assert self.gate.wait(20)
        if self.fails():
            raise RunnerFailure("device error")
        logits = (self.factor * images[:, 0, 0, 0]).astype(np.float32)
        return RunnerOutput(logits, np.repeat(logits[:, None], 2, axis=1))


def ensemble(*members: Runner, views: Sequence[str] = FLIPS, weights: Sequence[float] = ()) -> EnsembleRunner:
    described = [
        Member(f"{place:064x}", folder=f"m{place}", weight=weight)
        for place, weight in enumerate(weights or [1.0] * len(members))
    ]
    return EnsembleRunner(members, EnsembleConfig("many", "3.0.0", tuple(described), tuple(views)))


@asynccontextmanager
async def running(runner: Runner, **options: Any) -> AsyncIterator[Engine]:
    engine = Engine(runner, **({"view_seconds": 30.0} | options))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def ask(engine: Engine, data: bytes | None = None, seconds: float = 60.0) -> Prediction:
    return await engine.predict(data or photo(), deadline=time.monotonic() + seconds, priority=0)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.001)


async def test_an_idle_engine_averages_every_pass_by_weight() -> None:
    registry = CollectorRegistry()
    first, second = Seer(0.01), Seer(0.1, side=24)
    async with running(ensemble(first, second, weights=(3.0, 1.0)), registry=registry) as engine:
        answer = await ask(engine)
        stats = engine.stats()
    greys = np.array([10, 200, 10, 200])  # plain and vflip show the left grey first
    assert answer.views == 8
    assert answer.logit == pytest.approx((3 * 0.01 * greys.mean() + 0.1 * greys.mean()) / 4)
    assert answer.embedding.tolist() == pytest.approx([0.1, 0.1])
    assert answer.model_version == "3.0.0"
    assert answer.batch_size == 1
    assert first.runs[0] == 1
    assert (sum(first.runs), sum(second.runs)) == (4, 4)
    assert (stats.views, stats.view_failures, stats.answered) == ({8: 1}, 0, 1)
    assert registry.get_sample_value("streetvision_engine_views_sum") == 8


async def test_a_lost_device_that_a_further_view_finds_is_not_hidden_by_the_answer() -> None:
    class Lost(Seer):
        def run(self, images: ImageArray) -> RunnerOutput:
            raise RuntimeError("CUDA error: unspecified launch failure")

    async with running(ensemble(Seer(), Lost(side=24))) as engine:
        assert 1 <= (await ask(engine)).views < 8
        loss = engine.route.active.device.loss
    assert loss is not None
    assert loss.kind == "lost"


async def test_without_time_for_views_the_first_member_answers_alone() -> None:
    first, second = Seer(0.01), Seer(0.1)
    async with running(ensemble(first, second), view_seconds=0.0) as engine:
        answer = await ask(engine)
    assert answer.views == 1
    assert answer.logit == pytest.approx(0.1)
    assert second.runs == []


async def test_a_model_by_itself_has_one_view() -> None:
    async with running(Seer()) as engine:
        assert (await ask(engine)).views == 1
        assert engine.stats().views == {1: 1}


async def test_a_new_arrival_goes_before_the_views_of_others() -> None:
    first, second = Seer(), Seer()
    async with running(ensemble(first, second, views=("plain",))) as engine:
        second.gate.clear()
        early = asyncio.create_task(ask(engine))
        await until(second.entered.is_set)
        late = asyncio.create_task(ask(engine, photo(50, 60)))
        await until(lambda: engine.stats().queued == 1)
        second.gate.set()
        answers = await asyncio.gather(early, late)
    assert [answer.views for answer in answers] == [2, 2]
    assert (first.runs, second.runs) == ([1, 1], [1, 1])


async def test_a_chunk_that_hangs_does_not_hold_the_answer_back() -> None:
    first, second = Seer(), Seer()
    async with running(ensemble(first, second), view_seconds=0.2) as engine:
        second.gate.clear()
        answer = await ask(engine)
        assert answer.views < 8
        tight = asyncio.create_task(ask(engine, seconds=2.0))
        await until(lambda: engine.stats().queued == 1)
        second.gate.set()
        assert (await tight).views >= 1


async def test_an_answer_in_hand_leaves_before_its_deadline() -> None:
    first, second = Seer(), Seer()
    async with running(ensemble(first, second, views=("plain",))) as engine:
        second.gate.clear()
        began = time.monotonic()
        answer = await ask(engine, seconds=2.0)
        assert time.monotonic() - began < 2.0
        assert answer.views == 1
        second.gate.set()


async def test_a_member_that_fails_costs_its_views_and_nothing_else() -> None:
    first, second = Seer(0.01), Seer(0.1)
    second.fails = lambda: True
    async with running(ensemble(first, second)) as engine:
        answer = await ask(engine)
        stats = engine.stats()
        second.fails = lambda: False
        healed = await ask(engine)
    assert answer.views == 1
    assert answer.logit == pytest.approx(0.1)
    assert (stats.view_failures, stats.refused) == (1, {})
    assert healed.views == 8


async def test_closing_answers_with_what_is_in_hand() -> None:
    first, second = Seer(), Seer()
    async with running(ensemble(first, second)) as engine:
        second.gate.clear()
        asked = asyncio.create_task(ask(engine))
        await until(second.entered.is_set)
        closing = asyncio.create_task(engine.close())
        assert (await asked).views == 1
        second.gate.set()
        await closing


async def test_a_caller_that_leaves_takes_its_views_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Seer(), Seer()
    async with running(ensemble(first, second)) as engine:
        second.gate.clear()
        asked = asyncio.create_task(ask(engine))
        await until(second.entered.is_set)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        second.gate.set()
        assert (await ask(engine)).views == 8
    assert sum(second.runs) <= 2 + 4
    assert engine.stats().cancelled == 1


async def test_views_beyond_the_memory_for_them_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(improving, "MAX_BYTES", 3 * 16 * 16 * 3)
    async with running(ensemble(Seer())) as engine:
        assert (await ask(engine)).views == 4
        assert (await ask(engine)).views == 4  # what the first one held is free again
        monkeypatch.setattr(improving, "MAX_BYTES", 0)
        assert (await ask(engine)).views == 1


async def test_a_flood_is_answered_whole_and_sheds_views() -> None:
    first, second = Seer(seconds=0.002, pause=0.016), Seer(seconds=0.002, pause=0.016)
    async with running(ensemble(first, second), queue_size=400, view_seconds=0.4) as engine:
        first.gate.clear()
        tasks = [asyncio.create_task(ask(engine, photo(n, 3))) for n in range(240)]
        await until(lambda: engine.stats().queued >= 230)
        first.gate.set()
        answers = await asyncio.gather(*tasks)
    ones = [n for n, answer in enumerate(answers) if answer.views == 1]
    assert len(ones) > 100
    for n in ones:
        assert answers[n].logit == pytest.approx(0.01 * n, abs=1e-6)


async def test_a_burst_of_small_pictures_gets_all_its_views() -> None:
    first, second = Seer(), Seer()
    async with running(ensemble(first, second)) as engine:
        answers = await asyncio.gather(*(ask(engine, photo(n, 3)) for n in range(12)))
    assert [answer.views for answer in answers] == [8] * 12


async def test_a_prepared_ensemble_is_warm_in_every_member() -> None:
    first, second = Seer(), Seer(side=24)
    async with running(Seer()) as engine:
        lane = await engine.prepare(lambda: ensemble(first, second))
        touched = (list(first.runs), list(second.runs))
        engine.activate(lane)
        assert (await ask(engine)).views == 8
    assert touched == ([1, 2, 4, 8], [1, 2, 4, 8])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small models of unlike input, with every kind of view."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("ensemble")
    members = []
    for place, (size, rule) in enumerate(((48, "squash"), (64, "crop"))):
        torch.manual_seed(place)
        config = replace(tiny_config(depth=1, width=64), input_size=size, resize=rule)
        net = build(config)
        with torch.no_grad():
            net.head.fc.weight.normal_()
        saved = save_checkpoint(root / str(place), config, net.state_dict())
        members.append(Member(saved.sha256, folder=str(place), weight=1.0 + place))
    views = ("plain", "hflip", "crop:0.8+vflip", "scale:0.75", "tiles:2x2@0.2")
    (root / "ensemble.json").write_text(EnsembleConfig("real", "1.0.0", tuple(members), views).to_json())
    return root


def by_hand(runner: EnsembleRunner, data: bytes) -> float:
    """The weighted mean of every pass, each run alone."""
    passes = Sight(runner).passes(320, 240)
    decoded = decode_looks(data, lambda width, height: [p.look for p in passes], limits=DecodeLimits())
    arrays = [decoded.array, *decoded.others]
    logits = [
        runner.members[p.member].run(np.ascontiguousarray(array)[None]).logits[0]
        for p, array in zip(passes, arrays, strict=True)
    ]
    return float(np.average(logits, weights=[p.weight for p in passes]))


async def test_the_same_views_give_the_same_answer_whoever_shares_the_batch(folder: Path) -> None:
    torch.set_num_threads(1)
    runner = open_runner(folder, device="cpu", compile=False, threads=1, buckets=(1, 2, 8))
    assert isinstance(runner, EnsembleRunner)
    images = photos(4, seed=4)
    expected = [by_hand(runner, image) for image in images]
    async with running(runner) as engine:
        alone = [await ask(engine, image) for image in images]
        together = await asyncio.gather(*(ask(engine, image) for image in images))
    for answer, logit in zip(alone, expected, strict=True):
        assert answer.views == 16  # two members, four views and four tiles each
        assert answer.logit == pytest.approx(logit, abs=1e-4)
    for answer, other in zip(together, alone, strict=True):
        if answer.views == other.views:
            assert answer.logit == pytest.approx(other.logit, abs=1e-4)
            assert np.allclose(answer.embedding, other.embedding, atol=1e-4)
