"""Rollouts of real checkpoints: the bundled model, a twin of it, and one that decides the other way round."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from prometheus_client import CollectorRegistry

from streetvision.engine.engine import Engine
from streetvision.engine.types import Prediction, Runner
from streetvision.errors import OperatorError
from streetvision.models.checkpoint import load_checkpoint, save_checkpoint
from streetvision.models.ensemble import EnsembleConfig, Member
from streetvision.models.folder import bundled_checkpoint, read_config
from streetvision.models.golden import golden_images
from streetvision.models.router import RouterConfig, Stack
from streetvision.models.versions import BUNDLED, ModelVersion
from streetvision.registry.registry import Registry
from streetvision.rollout.decision_log import DecisionLog
from streetvision.rollout.gates import Gates
from streetvision.rollout.manager import ModelManager
from streetvision.rollout.policy import Policy
from streetvision.runner.opening import open_runner

POLICY = Policy(gates=Gates(min_samples=24, min_agreement=0.8))


class Real(NamedTuple):
    engine: Engine
    registry: Registry
    manager: ModelManager

    async def ask(self, number: int) -> Prediction:
        return await self.engine.predict(photo(number), deadline=time.monotonic() + 20, priority=0.0)


def photo(number: int) -> bytes:
    """A crop of a golden street, different for each number."""
    rng = np.random.default_rng(number)
    left, top = rng.integers(0, 40, 2)
    picture = Image.fromarray(golden_images(224)[(0, 1, 2, 5, 6, 9)[number % 6]])
    out = io.BytesIO()
    picture.crop((left, top, left + 180, top + 180)).save(out, "JPEG", quality=90)
    return out.getvalue()


def variant(folder: Path, version: str, *, sign: float = 1.0) -> Path:
    """The bundled checkpoint under another version; `sign` -1 turns every logit round."""
    config, state = load_checkpoint(bundled_checkpoint())
    changed = {name: sign * value if name.startswith("head.fc.") else value for name, value in state.items()}
    save_checkpoint(folder, replace(config, version=version), changed)
    return folder


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Real]:
    torch.set_num_threads(1)
    registry = Registry(tmp_path / "models")

    def open_version(model: ModelVersion) -> Runner:
        return open_runner(model.folder, device="cpu", compile=False, threads=1, buckets=(1, 2))

    metrics = CollectorRegistry()
    engine = Engine(lambda: open_version(registry.get(BUNDLED)), registry=metrics)
    await engine.start()
    manager = ModelManager(
        engine,
        registry,
        open_version,
        DecisionLog(registry.folder, metrics),
        start=registry.get(BUNDLED),
        named=registry.get(BUNDLED),
        over=BUNDLED,
        policy=POLICY,
    )
    yield Real(engine, registry, manager)
    await manager.close()
    await engine.close()


async def seen(real: Real, numbers: range) -> set[str]:
    versions = {(await real.ask(number)).model_version for number in numbers}
    async with asyncio.timeout(30):
        while len(real.engine._comparisons):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    return versions


async def test_a_twin_is_swapped_in_and_the_bundled_one_comes_back(real: Real, tmp_path: Path) -> None:
    real.registry.add_folder(variant(tmp_path / "twin", "7.0.0"), source="a test")
    before = (await real.ask(0)).logit
    await real.manager.swap("7.0.0")
    after = await real.ask(0)
    assert after.model_version == real.registry.active() == "7.0.0"
    assert after.logit == pytest.approx(before, abs=1e-3)
    await real.manager.rollback()
    assert real.manager.active == real.registry.active() == BUNDLED
    assert (await real.ask(0)).logit == pytest.approx(before, abs=1e-3)


async def test_a_router_is_swapped_in_asks_its_second_member_and_goes_again(real: Real, tmp_path: Path) -> None:
    real.registry.add_folder(variant(tmp_path / "opposite", "8.0.0", sign=-1.0), source="a test")
    logits = [(await real.ask(number)).logit for number in range(4)]
    band = float(np.median(np.abs(logits)))
    members = [Member(read_config(real.registry.get(name).folder).sha256, version=name) for name in (BUNDLED, "8.0.0")]
    config = EnsembleConfig("routed", "9.0.0", tuple(members), router=RouterConfig(band, stack=Stack(1.0, 0.5, 0.25)))

    def write(folder: Path) -> None:
        (folder / "ensemble.json").write_text(config.to_json())

    real.registry.add(write, "a test")
    await real.manager.swap("9.0.0")
    answers = [await real.ask(number) for number in range(4)]
    for answer, alone in zip(answers, logits, strict=True):
        unsure = abs(alone) <= band
        assert (answer.model_version, answer.router) == ("9.0.0", "asked" if unsure else "sure")
        first, *second = answer.members
        assert first == pytest.approx(alone, abs=1e-3)
        assert answer.logit == pytest.approx(first + 0.5 * second[0] + 0.25 if unsure else first)
    assert {answer.router for answer in answers} == {"asked", "sure"}
    await real.manager.rollback()
    assert (await real.ask(0)).router is None


async def test_the_gates_promote_a_twin_and_end_its_opposite(real: Real, tmp_path: Path) -> None:
    real.registry.add_folder(variant(tmp_path / "twin", "7.0.0"), source="a test")
    real.registry.add_folder(variant(tmp_path / "opposite", "8.0.0", sign=-1.0), source="a test")
    await real.manager.shadow("8.0.0")
    await seen(real, range(12))
    await real.manager.tick()
    status = real.manager.status()
    assert status["candidate"] is None
    assert status["decisions"][-1]["event"] == "shadow_failed"
    assert "agrees on" in json.dumps(status["decisions"][-1]["evidence"])
    await real.manager.canary("7.0.0", 1.0)
    await seen(real, range(100, 126))
    await real.manager.tick()
    assert real.manager.active == "7.0.0"
    assert real.manager.status()["decisions"][-1]["report"]["agreement"] == 1.0


async def test_weights_that_changed_since_they_were_added_never_serve(real: Real, tmp_path: Path) -> None:
    added = real.registry.add_folder(variant(tmp_path / "twin", "7.0.0"), source="a test")
    weights = added.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(OperatorError, match="damaged"):
        await real.manager.swap("7.0.0")
    assert real.manager.active == BUNDLED
