"""What every runner keeps to, whatever computes in it: shapes, padding, poison, swaps, shadows, golden pictures."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from prometheus_client import CollectorRegistry

from streetvision.engine.engine import Engine
from streetvision.engine.types import ImageArray, Runner, RunnerFailure, Telling
from streetvision.errors import OperatorError
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.folder import bundled_checkpoint
from streetvision.models.golden import golden_images
from streetvision.models.network import StreetVisionNet, build, tiny_config
from streetvision.models.versions import ModelVersion
from streetvision.registry.registry import Registry
from streetvision.rollout.decision_log import DecisionLog
from streetvision.rollout.manager import ModelManager
from streetvision.rollout.policy import Policy
from streetvision.runner.opening import open_runner

CONFIG = replace(tiny_config(depth=2, width=64, version="1.2.3"), input_size=48, temperature=1.6, threshold=0.3)
IMAGES: ImageArray = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 3), dtype=np.uint8)
STATED = 1e-3
"""Logits: how far a runner in float32 may be from timm's forward."""
RUNNERS = [
    "torch",
    pytest.param("openvino", marks=pytest.mark.skipif(find_spec("openvino") is None, reason="needs OpenVINO")),
    pytest.param(
        "max",
        marks=[
            pytest.mark.skipif(os.environ.get("TEST_MAX") != "1", reason="MAX compiles for minutes (make test-max)"),
            pytest.mark.timeout(600),
        ],
    ),
]
THREADS = {"torch": 2, "openvino": 2, "max": None}
"""MAX chooses for itself."""

Open = Callable[..., Any]


def network(seed: int = 0, *, sign: float = 1.0) -> StreetVisionNet:
    torch.manual_seed(seed)
    net = build(replace(CONFIG, architecture_kwargs={**CONFIG.architecture_kwargs, "init_values": 1.0}))
    with torch.no_grad():
        net.head.fc.weight.normal_().mul_(sign)
    return net.eval()


def saved(folder: Path, net: StreetVisionNet | None = None, version: str = "1.2.3") -> Path:
    save_checkpoint(folder, replace(CONFIG, version=version), (net or network()).state_dict())
    return folder


@pytest.fixture(params=RUNNERS)
def kind(request: pytest.FixtureRequest) -> str:
    torch.set_num_threads(2)
    return str(request.param)


@pytest.fixture
def opened(kind: str, tmp_path: Path) -> Open:
    """Opens a network in a runner of that kind."""

    def open_it(net: StreetVisionNet | None = None, **options: Any) -> Runner:
        folder = tmp_path / f"model-{time.monotonic_ns()}"
        given: dict[str, Any] = {"device": "cpu", "buckets": (1, 4, 8), "threads": 2, "compile": False, "runner": kind}
        return open_runner(saved(folder, net), **(given | options))

    return open_it


def test_it_names_its_model_and_what_computes(opened: Open, kind: str) -> None:
    runner = opened()
    assert (runner.version, runner.input_size, runner.resize, runner.resample) == ("1.2.3", 48, "squash", "bicubic")
    assert runner.buckets == (1, 4, 8)
    runner.warmup((1,))
    assert isinstance(runner, Telling)
    told = runner.served_by
    assert (told.runner, told.device, told.precision, told.threads) == (kind, "cpu", "float32", THREADS[kind])


def test_it_answers_what_the_network_answers_at_every_batch_size(opened: Open) -> None:
    runner = opened()
    for count in range(1, 9):
        with torch.inference_mode():
            logits, embeddings = network().forward_uint8(torch.from_numpy(IMAGES[:count].copy()))
        got = runner.run(IMAGES[:count])
        assert got.logits.shape == (count,)
        assert got.logits.dtype == got.embeddings.dtype == np.float32
        np.testing.assert_allclose(got.logits, logits.numpy(), rtol=0, atol=STATED)
        np.testing.assert_allclose(got.embeddings, embeddings.numpy(), rtol=0, atol=STATED)


def test_no_answer_depends_on_another_batch(opened: Open) -> None:
    runner = opened()
    first = runner.run(IMAGES[:3])
    kept = first.logits.copy(), first.embeddings.copy()
    runner.run(255 - IMAGES)
    again = runner.run(IMAGES[:3])
    for before, held, after in zip(
        kept, (first.logits, first.embeddings), (again.logits, again.embeddings), strict=True
    ):
        np.testing.assert_array_equal(before, held, "an answer was written over by the next run")
        np.testing.assert_array_equal(before, after, "the padding of an earlier batch showed")


def test_read_only_images_are_welcome(opened: Open) -> None:
    runner, images = opened(), IMAGES[:2].copy()
    images.flags.writeable = False
    np.testing.assert_array_equal(runner.run(images).logits, runner.run(IMAGES[:2]).logits)


def test_images_of_another_shape_are_a_callers_error(opened: Open) -> None:
    runner = opened()
    wrong = (IMAGES[:0], np.concatenate((IMAGES, IMAGES)), IMAGES.astype(np.float32), IMAGES[:, :47], IMAGES[..., :1])
    for images in (*wrong, IMAGES[0]):
        with pytest.raises(ValueError, match="images must be uint8"):
            runner.run(images)


def test_poison_gives_an_answer_or_a_failure_and_never_ends_serving(opened: Open) -> None:
    runner = opened()
    before = runner.run(IMAGES[:1]).logits
    for value in (0, 255):
        answer = runner.run(np.full((4, 48, 48, 3), value, np.uint8))
        assert np.isfinite(answer.logits).all()
    np.testing.assert_array_equal(runner.run(IMAGES[:1]).logits, before)


def test_a_model_whose_answers_are_not_finite_never_serves(opened: Open, kind: str) -> None:
    """OpenVINO and MAX compare with timm's forward while they open; torch sees it at its first run."""
    net = network()
    with torch.no_grad():
        net.head.fc.weight.fill_(3e38)
    known: dict[str, tuple[type[Exception], str]] = {
        "torch": (RunnerFailure, "not finite"),
        "openvino": (OperatorError, "OpenVINO cannot serve .* its probabilities are up to nan"),
        "max": (OperatorError, "MAX cannot serve .* its probabilities are up to nan"),
    }
    error, words = known[kind]
    with pytest.raises(error, match=words):
        opened(net).warmup((1,))


def test_warm_up_times_what_is_asked_and_no_buckets_time_nothing(opened: Open) -> None:
    runner = opened()
    assert sorted(runner.warmup((1, 4, 8))) == [1, 4, 8]
    assert list(runner.warmup((4,))) == [4]
    assert runner.warmup(()) == {}


def test_the_bundled_model_gives_the_golden_pictures_the_answers_of_timm(kind: str) -> None:
    runner = open_runner(bundled_checkpoint(), device="cpu", buckets=(2,), threads=2, compile=False, runner=kind)
    timms = open_runner(bundled_checkpoint(), device="cpu", buckets=(2,), threads=2, compile=False)
    pictures = golden_images(runner.input_size)[:2]
    assert runner.run(pictures).logits == pytest.approx(timms.run(pictures).logits, abs=STATED)


def photo(number: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
async def manager(kind: str, tmp_path: Path) -> AsyncIterator[ModelManager]:
    registry = Registry(tmp_path / "models")
    for version, sign in (("1.0.0", 1.0), ("2.0.0", -1.0)):
        registry.add_folder(saved(tmp_path / version, network(sign=sign), version), source="a test")

    def open_version(model: ModelVersion) -> Runner:
        return open_runner(model.folder, device="cpu", threads=1, buckets=(1, 2), compile=False, runner=kind)

    start, metrics = registry.get("1.0.0"), CollectorRegistry()
    engine = Engine(lambda: open_version(start), registry=metrics)
    await engine.start()
    log = DecisionLog(registry.folder, metrics)
    made = ModelManager(engine, registry, open_version, log, start=start, named=start, over="1.0.0", policy=Policy())
    yield made
    await made.close()
    await engine.close()


async def ask(manager: ModelManager, number: int) -> Any:
    return await manager._deployment._engine.predict(photo(number), deadline=time.monotonic() + 20, priority=0.0)


async def test_it_is_swapped_in_and_rolled_back(manager: ModelManager, kind: str) -> None:
    before = await ask(manager, 0)
    await manager.swap("2.0.0")
    after = await ask(manager, 0)
    assert (before.model_version, after.model_version) == ("1.0.0", "2.0.0")
    assert after.logit != pytest.approx(before.logit, abs=0.1)
    assert manager.status()["active"]["served_by"][0]["runner"] == kind
    await manager.rollback()
    assert (await ask(manager, 0)).logit == pytest.approx(before.logit, abs=STATED)


async def test_as_a_shadow_it_sees_pictures_and_answers_nobody(manager: ModelManager) -> None:
    await manager.shadow("2.0.0")
    assert {(await ask(manager, number)).model_version for number in range(4)} == {"1.0.0"}
    async with asyncio.timeout(20):
        while not manager.status()["candidate"]["report"]["samples"]:
            await asyncio.sleep(0.02)
