"""A request as the axon reports it, and a writer whose clock the test moves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.engine.types import Prediction, Timings
from streetvision.prediction_log.database import LogDatabase
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogRow
from streetvision.prediction_log.upkeep import Limits
from streetvision.prediction_log.write_health import LogMetrics
from streetvision.prediction_log.write_queue import WriteQueue
from streetvision.prediction_log.writer import Writer

NOW = 1_790_000_000.0


class MakeRecord(Protocol):
    def __call__(self, image: bytes | None = ..., probability: float | None = ..., **fields: Any) -> RequestRecord: ...


def record(image: bytes | None = b"image", probability: float | None = 0.75, **fields: Any) -> RequestRecord:
    """Answered with `probability`, or refused as overloaded when it is None."""
    model = fields.pop("model", "1.0.0")
    answer = None
    if probability is not None:
        vector = np.linspace(-1.0, 1.0, 8, dtype=np.float32)
        answer = Prediction(probability, 0.25, vector, model, 2, 3, 640, 480, Timings(0.002, 0.003, 0.004))
    given: dict[str, Any] = {
        "dialect": Dialect.LEGACY,
        "hotkey": "5Alice",
        "uid": 7,
        "stake": 10.0,
        "authenticated": True,
        "status": 200 if answer else 503,
        "reason": "ok" if answer else "overloaded",
        "image": image,
        "prediction": answer,
        "arrival": NOW,
        "headroom": 4.5,
        "stages": StageTimings(0.0001, 0.001, 0.009, 0.0002),
        "remote": "127.0.0.1",
    }
    return RequestRecord(**(given | fields))


@pytest.fixture
def make_record() -> MakeRecord:
    return record


def impatient(folder: Path) -> LogDatabase:
    return LogDatabase(folder, busy_timeout_s=0.02)


@dataclass
class Rig:
    """A writer without its thread: `tick` does what the thread would do, `now` is its monotonic clock."""

    folder: Path
    limits: Limits = field(default_factory=Limits)
    max_rows: int = 1000
    max_bytes: int = 1_000_000
    open_database: Callable[[Path], LogDatabase] = impatient
    now: float = 0.0
    wall: float = NOW

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.write_queue = WriteQueue(self.max_rows, self.max_bytes)
        self.metrics = LogMetrics(self.registry)
        self.writer = Writer(
            self.folder,
            self.write_queue,
            self.metrics,
            self.limits,
            open_database=self.open_database,
            wall=lambda: self.wall,
            monotonic=lambda: self.now,
        )

    def log(self, *records: RequestRecord) -> None:
        for one in records:
            self.write_queue.append(one)

    def tick(self, *, giving_way: bool = False) -> None:
        self.now += 10.0
        self.writer.tick(giving_way=giving_way)

    def passes(self, hours: int, *, step: int = 1) -> None:
        """So much time, told by both clocks, with a tick in each `step` hours."""
        for _ in range(hours // step):
            self.now += step * 3600.0
            self.wall += step * 3600.0
            self.tick()

    def degraded(self) -> str | None:
        """A call, as mypy takes an attribute for what it was before `tick`."""
        return self.writer.degraded

    def rows(self) -> list[LogRow]:
        with LogReader(self.folder) as reader:
            return list(reader.rows(embeddings=True))

    def files(self) -> set[str]:
        return {path.name for path in (self.folder / "images").rglob("*") if path.is_file()}

    def sample(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"streetvision_log_{name}", labels) or 0.0


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    with ExitStack() as closing:

        def make(**settings: Any) -> Rig:
            rig = Rig(**{"folder": tmp_path / "log", **settings})
            closing.callback(rig.writer.close)
            return rig

        yield make


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What was logged, as `LEVEL message`."""
    found: list[str] = []
    handler = logger.add(found.append, format="{level} {message}")
    yield found
    logger.remove(handler)


@pytest.fixture
def image() -> Callable[[int], bytes]:
    """Some bytes of that size, never the same twice."""
    return os.urandom
