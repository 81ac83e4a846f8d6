"""A house for rollouts: the real engine and the real registry, over models that tests can spoil at any moment."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from streetvision.engine.engine import Engine
from streetvision.engine.types import EngineError, ImageArray, Prediction, RunnerFailure, RunnerOutput
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.golden import golden_images
from streetvision.models.versions import ModelVersion
from streetvision.registry.model_import import Findings
from streetvision.registry.registry import Registry
from streetvision.rollout.decision_log import DecisionLog
from streetvision.rollout.gates import Gates
from streetvision.rollout.manager import ModelManager
from streetvision.rollout.policy import Policy

SIDE = 32
Answer = Callable[[np.ndarray], np.ndarray]


def honest(means: np.ndarray) -> np.ndarray:
    """A bright picture is roadwork."""
    return (means - 100.0) / 20.0


def open_gate() -> threading.Event:
    gate = threading.Event()
    gate.set()
    return gate


@dataclass
class FakeModel:
    """One version's behaviour; change it while it serves and it falls sick."""

    version: str
    answer: Answer = honest
    seconds: float = 0.0
    raises: Exception | None = None
    fails_to_load: Exception | None = None
    fails_to_warm: Exception | None = None
    gate: threading.Event = field(default_factory=open_gate)
    """Answers wait for it."""
    loaded: int = 0
    closed: int = 0
    calls: int = 0


class FakeRunner:
    """Runs a FakeModel; answers by the mean brightness of the first channel."""

    input_size, resize, buckets = SIDE, "squash", (1, 2, 4)

    def __init__(self, model: FakeModel) -> None:
        self.model = model
        self.version = model.version
        if model.fails_to_load is not None:
            raise model.fails_to_load
        model.loaded += 1

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        if self.model.fails_to_warm is not None:
            raise self.model.fails_to_warm
        return dict.fromkeys(buckets, 0.001)

    def run(self, images: ImageArray) -> RunnerOutput:
        model = self.model
        model.calls += 1
        assert model.gate.wait(20)
        if model.seconds:
            time.sleep(model.seconds)
        if model.raises is not None:
            raise model.raises
        logits = model.answer(images[..., 0].reshape(len(images), -1).mean(axis=1)).astype(np.float32)
        return RunnerOutput(logits, np.ones((len(images), 4), np.float32))

    def close(self) -> None:
        self.model.closed += 1


@dataclass
class FakeClock:
    time: float = 1000.0

    def __call__(self) -> float:
        return self.time


def photo(number: int) -> bytes:
    """A PNG that differs for each number; its brightness covers the range."""
    rng = np.random.RandomState(number)
    grey = int(rng.randint(0, 200))
    pixels = np.full((SIDE, SIDE), grey, np.uint8)
    pixels[0, :4] = np.frombuffer(np.uint32(number).tobytes(), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@dataclass
class House:
    """Everything around one manager. `open` it first; `reopen` is a restart of the miner."""

    folder: Path
    policy: Policy = field(default_factory=lambda: Policy(gates=Gates(min_samples=40, min_agreement=0.8)))
    models: dict[str, FakeModel] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    over: str = "start"
    asked: int = 0

    def __post_init__(self) -> None:
        self.registry = Registry(self.folder, now=lambda: 1_800_000_000.0, examine=self._examine)
        self.start = FakeModel("1.0.0")
        self.named = ModelVersion("1.0.0", "start", self.folder / "outside", "0" * 64, "a folder", "", True, None, "")

    def _examine(self, folder: Path, *others: object) -> Findings:
        version = json.loads((folder / "model.json").read_text())["version"]
        means = golden_images(SIDE)[..., 0].reshape(16, -1).mean(axis=1)
        logits = np.asarray(self.recorded.get(version, honest)(means), np.float64)
        return Findings(SIDE, tuple(float(x) for x in logits), self.why_not.get(version))

    recorded: dict[str, Answer] = field(default_factory=dict)
    why_not: dict[str, str] = field(default_factory=dict)

    def add(self, version: str, **behaviour: Any) -> FakeModel:
        """A version in the registry."""

        def fill(target: Path) -> None:
            weights = version.encode()
            head = HeadConfig(embedding_dim=384)
            config = ModelConfig(
                "fake", version, "vit_small_patch16_dinov3", input_size=SIDE, head=head,
                sha256=hashlib.sha256(weights).hexdigest(),
            )  # fmt: skip
            (target / "model.safetensors").write_bytes(weights)
            (target / "model.json").write_text(config.to_json())

        self.registry.add(fill, "a test", version=version)
        model = self.models[version] = FakeModel(version, **behaviour)
        return model

    async def open(self) -> ModelManager:
        self.metrics = CollectorRegistry()
        active = self.registry.active()
        first = self.start if active is None else self.models[active]
        self.engine = Engine(FakeRunner(first), registry=self.metrics)
        await self.engine.start()
        decision_log = DecisionLog(self.folder, self.metrics, now=lambda: 1_800_000_000.0)
        self.manager = ModelManager(
            self.engine,
            self.registry,
            lambda model: FakeRunner(self.models.get(model.version, self.start)),
            decision_log,
            start=self.named if active is None else self.registry.get(active),
            named=self.named,
            over=self.over,
            policy=self.policy,
            clock=self.clock,
        )
        return self.manager

    async def reopen(self) -> ModelManager:
        await self.close()
        return await self.open()

    async def close(self) -> None:
        await self.manager.close()
        await self.engine.close()

    async def ask(self, number: int | None = None, seconds: float = 5.0) -> Prediction:
        if number is None:
            self.asked += 1
            number = self.asked
        return await self.engine.predict(photo(number), deadline=time.monotonic() + seconds, priority=0.0)

    async def try_to_ask(self, seconds: float = 5.0) -> Prediction | EngineError:
        try:
            return await self.ask(seconds=seconds)
        except EngineError as error:
            return error

    async def ask_many(self, count: int) -> list[Prediction | EngineError]:
        """Different pictures, one after the other; what fails is in the list as its error."""
        answers = [await self.try_to_ask() for _ in range(count)]
        await self.settled()
        return answers

    async def settled(self) -> None:
        """All comparisons after the replies are done and told."""
        for _ in range(3):
            await asyncio.sleep(0.002)
        await self.until(lambda: len(self.engine._comparisons) == 0)
        await asyncio.sleep(0.02)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.get_sample_value(f"streetvision_rollout_{name}", labels)

    def journal(self) -> list[Mapping[str, Any]]:
        path = self.folder / "decisions.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def events(self) -> list[tuple[str, str | None]]:
        return [(entry["event"], entry["version"]) for entry in self.journal()]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path / "models")
    await made.open()
    yield made
    for model in [made.start, *made.models.values()]:
        model.gate.set()
    await made.close()


@pytest.fixture
def runner_failure() -> Exception:
    return RunnerFailure("device error")
