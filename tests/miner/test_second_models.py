"""The whole miner in this process with a SigLIP tower, and with a router that asks it: every trial, log and replay."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from streetvision.control.client import SOCKET_NAME
from streetvision.errors import OperatorError
from streetvision.miner.miner import Miner
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.ensemble import EnsembleConfig, Member
from streetvision.models.folder import read_config
from streetvision.models.logits import sigmoid
from streetvision.models.network import build, tiny_config
from streetvision.models.router import RouterConfig, Stack
from streetvision.prediction_log.comparison import Replayed, compare
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.replay import ReplayOptions, replay_log
from streetvision.prediction_log.row import LogFilter, LogRow
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.registry.registry import REGISTRY_FOLDER, Registry
from streetvision.settings.model import ModelSettings, RolloutSettings
from streetvision.settings.network import AxonSettings, SubtensorSettings
from streetvision.settings.settings import Settings

from .test_miner_models import ask, order

FIRST, TOWER, ROUTED = "0.1.0", "0.2.0", "0.3.0"
STACK = Stack(1.0, 0.5, 0.25)
PATIENCE_S = 60.0


def first_model(folder: Path) -> None:
    config = replace(tiny_config(depth=1, width=64, version=FIRST), input_size=48)
    weights = build(config).state_dict()
    weights["head.fc.weight"] *= 50.0
    save_checkpoint(folder, config, weights)


def siglip_tower(folder: Path) -> None:
    """A tower with prompts for a head, as `models add siglip2:TAG --prompts` makes it, and much smaller."""
    sizes: dict[str, int | float | bool] = {"embed_dim": 64, "depth": 2, "num_heads": 1}
    head = HeadConfig("cls_cosine", 64, classes=2, positive=(0,))
    config = ModelConfig("tower", TOWER, "vit_base_patch16_siglip_224", sizes, 64, head=head)
    weights = build(config).state_dict()
    weights["head.fc.weight"] = 40.0 * torch.randn(weights["head.fc.weight"].shape)
    save_checkpoint(folder, config, weights)


def router(registry: Registry, band: float) -> None:
    members = [Member(read_config(registry.get(one).folder).sha256, version=one) for one in (FIRST, TOWER)]
    config = EnsembleConfig("routed", ROUTED, tuple(members), router=RouterConfig(band, stack=STACK))
    registry.add(lambda folder: _write(folder / "ensemble.json", config.to_json()), "test")


def _write(path: Path, text: str) -> None:
    path.write_text(text)


class Serving(NamedTuple):
    miner: Miner
    registry: Registry
    replied: list[int]
    """One status per request so far."""

    async def ask(self, count: int) -> None:
        for _ in range(count):
            self.replied.append(await asyncio.to_thread(ask, self.miner.axon.port))

    def rows(self, model: str | None = None) -> list[LogRow]:
        with LogReader(self.miner.settings.state_dir / LOG_FOLDER) as reader:
            return list(reader.rows(LogFilter(model=model)))

    async def logged(self) -> list[LogRow]:
        """All rows, once the log has written what was answered."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with suppress(OperatorError):  # it has just been begun
                rows = await asyncio.to_thread(self.rows)
                if len(rows) == len(self.replied):
                    return rows
            await asyncio.sleep(0.05)
        raise TimeoutError("the log has not written what was answered")

    async def replay(self, version: str) -> Replayed:
        def work() -> Replayed:
            with LogReader(self.miner.settings.state_dir / LOG_FOLDER) as reader:
                chosen = ReplayOptions(LogFilter(model=version))
                folder = self.registry.get(version).folder
                return replay_log(reader, folder, chosen, device="cpu", compile=False, threads=1)

        return await asyncio.to_thread(work)


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    """A miner that serves FIRST; TOWER is in its registry."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        state = Path(name) / "state"
        registry = Registry(state / REGISTRY_FOLDER)
        for version, make in ((FIRST, first_model), (TOWER, siglip_tower)):
            make(Path(name) / version)
            await asyncio.to_thread(registry.add_folder, Path(name) / version, source="test")
        settings = Settings(
            subtensor=SubtensorSettings(network="mock"),
            model=ModelSettings(choice=FIRST),
            rollout=RolloutSettings(min_samples=100_000),
            compile=False,
            threads=1,
            axon=AxonSettings(ip="127.0.0.1", port=0, requests_per_minute=100_000),
            state_dir=state,
        )
        miner = Miner(settings)
        await miner.start()
        task = asyncio.create_task(miner.serve())
        assert (state / SOCKET_NAME).exists()
        yield Serving(miner, registry, [])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await miner.close()


async def through_every_trial(serving: Serving, version: str) -> None:
    """Swapped in and rolled back, shadowed, canaried, promoted and rolled back again, while validators ask."""
    miner = serving.miner
    await order(miner, "swap", version=version)
    await serving.ask(4)
    await order(miner, "rollback")
    await order(miner, "shadow", version=version, share=1.0)
    await serving.ask(2)
    deadline = time.monotonic() + PATIENCE_S
    while not (report := (await order(miner, "status"))["candidate"]["report"])["samples"]:
        assert time.monotonic() < deadline, report
        await serving.ask(1)
    await order(miner, "stop_shadow")
    await order(miner, "canary", version=version, share=0.5, force=True)
    await serving.ask(20)
    assert {row.model_version for row in (await serving.logged())[-20:]} == {FIRST, version}
    await order(miner, "promote")
    await serving.ask(12)
    await order(miner, "rollback")
    await serving.ask(1)
    rows = await serving.logged()
    assert [row.model_version for row in rows[-13:]] == [version] * 12 + [FIRST]
    assert set(serving.replied) == {200}
    assert version in (await order(miner, "status"))["bad"]


def log_odds(probability: float | None) -> float:
    assert probability is not None
    return float(np.log(probability) - np.log1p(-probability))


async def test_a_router_goes_through_every_trial_and_its_answers_say_who_gave_them(serving: Serving) -> None:
    await serving.ask(12)
    logits = [abs(row.logit or 0.0) for row in await serving.logged()]
    band = float(np.median(logits))
    await asyncio.to_thread(router, serving.registry, band)
    await through_every_trial(serving, ROUTED)
    rows = await asyncio.to_thread(serving.rows, ROUTED)
    said = {row.router for row in rows}
    assert {"asked", "sure"} <= said <= {"asked", "sure", "no_time"}
    for row in rows:
        first = log_odds(row.first_probability)
        assert (row.router != "sure") == (abs(first) <= band), row
        if row.router == "asked":
            both = first + 0.5 * log_odds(row.second_probability) + 0.25
            assert row.logit == pytest.approx(both, abs=1e-3)
        else:
            assert row.second_probability is None
            assert row.logit == pytest.approx(first, abs=1e-3)
    assert all(
        (row.router, row.first_probability) == (None, None) for row in await asyncio.to_thread(serving.rows, FIRST)
    )

    done = await serving.replay(ROUTED)
    routing = {(one.then, one.now): one.rows for one in compare(done.answers, tolerance=1e-5).routing}
    assert sum(routing.values()) == len(rows)
    assert set(routing) <= {("asked", "asked"), ("sure", "sure"), ("no_time", "asked")}
    for answer in done.answers:
        assert answer.new_members[: len(answer.old_members)] == pytest.approx(answer.old_members, abs=1e-5)
        assert len(answer.new_members) == (2 if answer.new_router == "asked" else 1)


async def test_a_siglip_version_goes_through_every_trial_and_repeats_itself(serving: Serving) -> None:
    await through_every_trial(serving, TOWER)
    rows = await asyncio.to_thread(serving.rows, TOWER)
    assert {row.router for row in rows} == {None}
    same = compare((await serving.replay(TOWER)).answers, tolerance=1e-5).reproduction
    assert same is not None
    assert (same.rows, same.good) == (len(rows), True)
    assert len({round(sigmoid(row.logit or 0.0), 6) for row in rows}) > 1
