"""How a model's figures fall when pictures arrive in a worse state: by kind of distortion and by its degree."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streetvision.engine.engine import Engine
from streetvision.evaluation.distortions import CONDITIONS, Arrived, Condition, arrivals
from streetvision.evaluation.figures import Estimate, Sample, estimates, mean_estimate
from streetvision.evaluation.predictions import Progress, Unanswered, answers
from streetvision.sources.dataset import Example

AS_SENT = ("as it is", "")
DRAWS = 400


@dataclass(frozen=True, slots=True)
class Hardship:
    """The figures under one condition."""

    kind: str
    step: str
    count: int
    """Pictures that were answered."""
    figures: Mapping[str, Estimate]
    fall: Estimate
    """Of the accuracy below that of the same pictures as they are; negative where it rises."""

    @property
    def plain(self) -> bool:
        """Whether these are the pictures as they are."""
        return (self.kind, self.step) == AS_SENT

    @property
    def worse(self) -> bool:
        """Whether accuracy falls, and not by luck: the fall's interval leaves zero out."""
        return self.fall.low is not None and self.fall.low > 0.0


async def robustness(
    engine: Engine,
    examples: Sequence[Example],
    plain: Sample,
    *,
    conditions: tuple[Condition, ...] = CONDITIONS,
    progress: Progress = lambda _: None,
) -> list[Hardship]:
    """Ask for the pictures again under every condition; `plain` [N] are the answers to them as they are."""
    found: dict[tuple[str, str], dict[int, float]] = {(one.kind, one.step): {} for one in conditions}
    async for place, arrived in _prepared(examples, conditions):
        jobs = ((one.condition, (lambda jpeg=one.jpeg: jpeg)) for one in arrived)
        async for condition, answer in answers(engine, jobs):
            if not isinstance(answer, Unanswered):
                found[condition.kind, condition.step][place] = answer.logit
        progress(1)
    whole = dict(enumerate(plain.logits.tolist()))
    return [_hardship(kind, step, told, plain) for (kind, step), told in {AS_SENT: whole, **found}.items()]


def chosen(examples: Sequence[Example], most: int) -> list[int]:
    """Places of at most `most` pictures, of both classes as evenly as can be; the same ones each time."""
    ranks = {
        place: rank
        for label in (True, False)
        for rank, place in enumerate(sorted(_places(examples, label), key=lambda place: _lot(examples[place])))
    }
    return sorted(sorted(ranks, key=lambda place: (ranks[place], place))[:most])


async def _prepared(
    examples: Sequence[Example], conditions: tuple[Condition, ...]
) -> AsyncIterator[tuple[int, list[Arrived]]]:
    """Each picture's place, and it under all conditions, made in a thread while the one before is answered."""

    def make(place: int) -> list[Arrived]:
        return list(arrivals(examples[place].path.read_bytes(), place, conditions))

    coming = asyncio.create_task(asyncio.to_thread(make, 0)) if examples else None
    for place in range(len(examples)):
        assert coming is not None  # noqa: S101 - there is one for each picture
        arrived = await coming
        coming = asyncio.create_task(asyncio.to_thread(make, place + 1)) if place + 1 < len(examples) else None
        yield place, arrived


def _hardship(kind: str, step: str, told: Mapping[int, float], plain: Sample) -> Hardship:
    before = plain.part(np.array(list(told), np.int64))
    now = Sample(np.array(list(told.values()), np.float64), before.labels, before.groups)
    lost = (before.said == before.labels).astype(np.float64) - (now.said == now.labels)
    fall = mean_estimate(lost, before.groups, draws=DRAWS)
    return Hardship(kind, step, len(told), estimates(now, draws=DRAWS), fall)


def _places(examples: Sequence[Example], label: bool) -> list[int]:
    return [place for place, example in enumerate(examples) if example.label is label]


def _lot(example: Example) -> bytes:
    return hashlib.sha256((example.sha256 or str(example.path)).encode()).digest()
