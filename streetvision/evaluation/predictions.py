"""What a model answers to pictures, as the miner would: the same decoding, resizing, network and calibration."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TypeVar

import numpy as np

from streetvision.engine.decode import DecodeLimits
from streetvision.engine.engine import Engine
from streetvision.engine.offline import predict_offline
from streetvision.engine.types import EngineError, Prediction, RunnerFailure
from streetvision.errors import OperatorError, reason
from streetvision.evaluation.figures import Sample
from streetvision.runner.opening import open_runner
from streetvision.sources.dataset import Example

Key = TypeVar("Key")
Load = Callable[[], bytes]
Progress = Callable[[int], None]
"""Hears how many pictures more are done."""

AHEAD = 32
"""Pictures that are read, decoded or queued meanwhile; fewer than an engine's queue holds."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How the model is run."""

    device: str = "auto"
    limits: DecodeLimits | None = None
    views: bool = False
    """Whether the model's test-time views are averaged; under load the miner leaves them out."""
    buckets: tuple[int, ...] | None = None
    """Batch sizes; None for the runner's own."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A picture without an answer."""

    reason: str
    """A clause."""


@dataclass(frozen=True)
class Answers:
    """A model's answers to the pictures of one or more datasets."""

    model: str
    """Its version."""
    examples: tuple[Example, ...]
    """Those that were answered, in the datasets' order."""
    sample: Sample
    """Their logits, labels and groups."""
    unanswered: tuple[tuple[Example, str], ...] = ()
    """The others, each with the reason."""


@asynccontextmanager
async def serving(folder: Path, how: Serving) -> AsyncIterator[Engine]:
    """The model in `folder`, ready to answer; raises OperatorError."""
    # Compiling would take longer than it saves.
    runner = open_runner(folder, device=how.device, buckets=how.buckets, compile=False)
    engine = Engine(runner, limits=how.limits, view_seconds=inf if how.views else 0.0)
    try:
        await engine.start()
    except RunnerFailure as error:
        raise OperatorError(f"the model {folder} cannot run on {how.device}: {error}") from error
    try:
        yield engine
    finally:
        await engine.close()


async def answers(
    engine: Engine, pictures: Iterable[tuple[Key, Load]], *, ahead: int = AHEAD
) -> AsyncIterator[tuple[Key, Prediction | Unanswered]]:
    """The answer to each picture, in their order; each is loaded in a thread. OperatorError when the device is lost."""
    waiting: deque[tuple[Key, asyncio.Task[Prediction | Unanswered]]] = deque()
    try:
        for key, load in pictures:
            waiting.append((key, asyncio.create_task(_answer(engine, load))))
            if len(waiting) >= ahead:
                yield waiting[0][0], await waiting[0][1]
                waiting.popleft()
        while waiting:
            yield waiting[0][0], await waiting[0][1]
            waiting.popleft()
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)


async def answer_examples(
    engine: Engine, examples: Iterable[Example], *, progress: Progress = lambda _: None
) -> Answers:
    """The model's answers to pictures on disk; what it cannot answer is kept apart with the reason."""
    answered: list[tuple[Example, Prediction]] = []
    unanswered: list[tuple[Example, str]] = []
    async for example, found in answers(engine, ((example, example.path.read_bytes) for example in examples)):
        if isinstance(found, Unanswered):
            unanswered.append((example, found.reason))
        else:
            answered.append((example, found))
        progress(1)
    told = tuple(example for example, _ in answered)
    sample = sample_of(told, [found.logit for _, found in answered])
    return Answers(engine.route.active.version, told, sample, tuple(unanswered))


def sample_of(examples: Iterable[Example], logits: Iterable[float]) -> Sample:
    """Logits with what judging needs of their pictures; one without a group is a group of its own."""
    told = list(examples)
    return Sample(
        np.array(list(logits), np.float64),
        np.array([one.label for one in told], np.bool_),
        np.array([one.group or f"{one.path}" for one in told], np.str_),
    )


async def _answer(engine: Engine, load: Load) -> Prediction | Unanswered:
    try:
        return await predict_offline(engine, await asyncio.to_thread(load))
    except (OSError, EngineError) as error:
        return Unanswered(reason(error))
