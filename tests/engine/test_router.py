"""A router in the running engine: who is asked, what is answered, and that nothing about it makes a request late."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry

from streetvision.engine.decode import DecodeLimits, decode_looks
from streetvision.engine.ensemble import EnsembleRunner, Sight
from streetvision.engine.router import Router
from streetvision.engine.types import ImageArray, Outcome, RunnerOutput
from streetvision.models.architectures.plain_vit import PLAIN_VIT
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.embedding_distance import KnownEmbeddings
from streetvision.models.ensemble import EnsembleConfig, Member
from streetvision.models.network import build, tiny_config
from streetvision.models.router import RouterConfig, RouterOutcome, Stack
from streetvision.runner.opening import open_runner

from ..photos import photos
from .test_view_improver import Seer, ask, photo, running, until

MEMBERS = (Member("0" * 64, folder="a"), Member("1" * 64, folder="b", weight=3.0))
BAND = RouterConfig(band=0.55)
SURE, UNSURE = photo(90, 0), photo(40, 0)
"""Greys for which a Seer of 0.01 answers 0.9 and 0.4."""


def routed(
    first: Seer, second: Seer, config: RouterConfig = BAND, known: KnownEmbeddings | None = None
) -> EnsembleRunner:
    return EnsembleRunner((first, second), EnsembleConfig("r", "3.0.0", MEMBERS, router=config), Router(config, known))


def output(logits: list[float], embeddings: list[list[float]]) -> RunnerOutput:
    return RunnerOutput(np.array(logits, np.float32), np.array(embeddings, np.float32))


KNOWN = KnownEmbeddings(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), np.ones(3, np.float32))


def test_each_rule_asks_by_itself_and_both_where_either_does() -> None:
    seen = output([0.2, -0.2, 5.0, -5.0], [[0, 0], [3, 3], [3, 3], [0, 0]])
    assert Router(RouterConfig(band=0.3)).asks(seen).tolist() == [True, True, False, False]
    far = RouterConfig(distance=2.0, sha256="0" * 64)
    assert Router(far, KNOWN).asks(seen).tolist() == [False, True, True, False]
    both = RouterConfig(band=0.3, distance=2.0, sha256="0" * 64)
    assert Router(both, KNOWN).asks(seen).tolist() == [True, True, True, False]
    with pytest.raises(ValueError, match="known embeddings"):
        Router(far)


async def test_the_second_member_is_asked_only_where_the_first_is_unsure() -> None:
    registry = CollectorRegistry()
    first, second = Seer(0.01), Seer(0.1, side=24)
    async with running(routed(first, second), registry=registry) as engine:
        sure, unsure = await ask(engine, SURE), await ask(engine, UNSURE)
        stats = engine.stats()
    assert (sure.router, sure.views) == (RouterOutcome.SURE, 1)
    assert list(sure.members) == pytest.approx([0.9])
    assert (unsure.router, unsure.views) == (RouterOutcome.ASKED, 2)
    assert list(unsure.members) == pytest.approx([0.4, 4.0])
    assert unsure.logit == pytest.approx((0.4 + 3 * 4.0) / 4)
    assert second.runs == [1]
    assert stats.router == {"sure": 1, "asked": 1}
    assert registry.get_sample_value("streetvision_engine_router_total", {"outcome": "asked"}) == 1
    assert registry.get_sample_value("streetvision_engine_router_total", {"outcome": "no_time"}) == 0


async def test_a_far_picture_is_asked_about_however_sure_the_first_is() -> None:
    config = RouterConfig(distance=1.0, sha256="0" * 64)
    second = Seer(0.1)
    async with running(routed(Seer(0.01), second, config, KNOWN)) as engine:
        near, far = await ask(engine, SURE), await ask(engine, photo(250, 0))
    assert (near.router, far.router) == (RouterOutcome.SURE, RouterOutcome.ASKED)


async def test_a_stack_puts_both_answers_together() -> None:
    config = replace(BAND, stack=Stack(0.5, 0.25, -1.0))
    async with running(routed(Seer(0.01), Seer(0.1), config)) as engine:
        answer = await ask(engine, UNSURE)
        alone = await ask(engine, SURE)
    assert answer.logit == pytest.approx(0.5 * 0.4 + 0.25 * 4.0 - 1.0)
    assert alone.logit == pytest.approx(0.9)


async def test_without_time_the_first_answer_stands_and_is_counted() -> None:
    first, second = Seer(0.01), Seer(0.1)
    async with running(routed(first, second), view_seconds=0.0) as engine:
        answer = await ask(engine, UNSURE)
        assert engine.stats().router == {"no_time": 1}
    assert (answer.router, answer.views) == (RouterOutcome.NO_TIME, 1)
    assert answer.logit == pytest.approx(0.4)
    assert second.runs == []


async def test_a_second_member_that_hangs_makes_no_request_late() -> None:
    first, second = Seer(0.01), Seer(0.1)
    async with running(routed(first, second)) as engine:
        second.gate.clear()
        began = time.monotonic()
        answer = await ask(engine, UNSURE, seconds=1.0)
        assert time.monotonic() - began < 1.0
        second.gate.set()
    assert answer.router is RouterOutcome.NO_TIME
    assert answer.logit == pytest.approx(0.4)


async def test_a_second_member_that_takes_longer_than_is_left_is_not_started() -> None:
    first, second = Seer(0.01), Seer(0.1, seconds=2.0)
    async with running(routed(first, second)) as engine:
        answer = await ask(engine, UNSURE, seconds=1.0)
    assert answer.router is RouterOutcome.NO_TIME
    assert second.runs == []


async def test_a_failing_second_member_leaves_the_first_serving() -> None:
    first, second = Seer(0.01), Seer(0.1)
    second.fails = lambda: True
    async with running(routed(first, second)) as engine:
        answers = [await ask(engine, UNSURE) for _ in range(3)]
        stats = engine.stats()
    assert [answer.router for answer in answers] == [RouterOutcome.FAILED] * 3
    assert {answer.logit for answer in answers} == {answers[0].members[0]}
    assert (stats.router, stats.view_failures, stats.refused) == ({"failed": 3}, 3, {})


async def test_a_router_as_shadow_is_compared_by_what_it_would_have_answered() -> None:
    outcomes: list[Outcome] = []
    async with running(Seer(0.02)) as engine:
        engine.add_listener(outcomes.append)
        lane = await engine.prepare(lambda: routed(Seer(0.01), Seer(0.1)))
        engine.shadow(lane, 1.0)
        await ask(engine, UNSURE)
        await until(lambda: any(outcome.comparison for outcome in outcomes))
    seen = next(outcome for outcome in outcomes if outcome.comparison)
    assert (seen.version, seen.views) == ("3.0.0", 2)
    assert seen.logit == pytest.approx((0.4 + 3 * 4.0) / 4)


async def test_a_flood_is_answered_by_the_first_member() -> None:
    first, second = Seer(0.001, seconds=0.002, pause=0.016), Seer(0.1, seconds=0.002, pause=0.016)
    async with running(routed(first, second), queue_size=400, view_seconds=0.4) as engine:
        first.gate.clear()
        tasks = [asyncio.create_task(ask(engine, photo(n, 3))) for n in range(200)]
        await until(lambda: engine.stats().queued >= 190)
        first.gate.set()
        answers = await asyncio.gather(*tasks)
        counts = engine.stats().router
    assert counts["no_time"] > 100
    assert sum(counts.values()) == len(answers) == 200


def test_a_runner_and_its_description_agree_on_the_router() -> None:
    described = EnsembleConfig("r", "3.0.0", MEMBERS, router=BAND)
    with pytest.raises(ValueError, match="takes a router"):
        EnsembleRunner((Seer(), Seer()), described)


def test_run_asks_both_members_so_that_golden_answers_do_not_jump_at_the_edge_of_a_band() -> None:
    runner = routed(Seer(0.01), Seer(0.1))
    images: ImageArray = np.full((2, 16, 16, 3), 90, np.uint8)
    assert runner.run(images).logits.tolist() == pytest.approx([(0.9 + 3 * 9.0) / 4] * 2)


SMALL = replace(tiny_config(depth=1, width=64), input_size=48)
LARGE = ModelConfig(
    "large",
    "1.1.0",
    PLAIN_VIT,
    architecture_kwargs={
        "embed_dim": 64,
        "depth": 1,
        "num_heads": 2,
        "mlp_ratio": 2.0,
        "qkv_bias": True,
        "patch_size": 16,
        "norm_eps": 1e-12,
    },
    head=HeadConfig("cls_linear", 64),
    input_size=96,
    resize="crop",
    resample="bilinear",
    mean=(0.5, 0.5, 0.5),
)


async def test_members_of_other_architectures_sizes_and_heads_see_it_their_own_way(
    tmp_path: Path,
) -> None:
    torch.set_num_threads(1)
    members = []
    for place, config in enumerate((SMALL, LARGE)):
        torch.manual_seed(place)
        net = build(config)
        with torch.no_grad():
            net.head.fc.weight.normal_()
        saved = save_checkpoint(tmp_path / str(place), config, net.state_dict())
        members.append(Member(saved.sha256, folder=str(place)))
    described = EnsembleConfig("unlike", "1.0.0", tuple(members), router=RouterConfig(band=1e3))
    (tmp_path / "ensemble.json").write_text(described.to_json())
    runner = open_runner(tmp_path, device="cpu", compile=False, threads=1, buckets=(1,))
    assert isinstance(runner, EnsembleRunner)
    (data,) = photos(1, seed=4)
    passes = Sight(runner).passes(320, 240)
    decoded = decode_looks(data, lambda width, height: [p.look for p in passes], limits=DecodeLimits())
    arrays = (decoded.array, *decoded.others)
    runner.warmup(runner.buckets)
    alone = [
        float(member.run(np.ascontiguousarray(array)[None]).logits[0])
        for member, array in zip(runner.members, arrays, strict=True)
    ]
    async with running(runner) as engine:
        answer = await ask(engine, data)
    assert [array.shape[0] for array in arrays] == [48, 96]
    assert answer.members == pytest.approx(alone, abs=1e-4)
    assert answer.logit == pytest.approx(sum(alone) / 2, abs=1e-4)
