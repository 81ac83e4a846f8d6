"""How a model's figures fall when pictures arrive in a worse state: by kind of distortion and by its degree."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from streetvision.engine.engine import Engine
from streetvision.evaluation.distortions import CONDITIONS, Arrived, Condition, arrivals
from streetvision.evaluation.figures import Estimate, estimates
from streetvision.evaluation.predictions import Progress, Unanswered, answers, sample_of
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


async def robustness(
    engine: Engine,
    examples: Sequence[Example],
    logits: Sequence[float],
    *,
    conditions: tuple[Condition, ...] = CONDITIONS,
    progress: Progress = lambda _: None,
) -> list[Hardship]:
    """Ask for the pictures again under every condition; `logits` are of the same pictures as they are."""
    found: dict[tuple[str, str], list[tuple[Example, float]]] = {
        AS_SENT: list(zip(examples, logits, strict=True)),
        **{(one.kind, one.step): [] for one in conditions},
    }
    async for example, arrived in _prepared(examples, conditions):
        jobs = ((one.condition, (lambda jpeg=one.jpeg: jpeg)) for one in arrived)
        async for condition, answer in answers(engine, jobs):
            if not isinstance(answer, Unanswered):
                found[condition.kind, condition.step].append((example, answer.logit))
        progress(1)
    return [_hardship(kind, step, told) for (kind, step), told in found.items()]


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
) -> AsyncIterator[tuple[Example, list[Arrived]]]:
    """Each picture under all conditions, made in a thread while the model answers the one before."""

    def make(place: int) -> list[Arrived]:
        return list(arrivals(examples[place].path.read_bytes(), place, conditions))

    coming = asyncio.create_task(asyncio.to_thread(make, 0)) if examples else None
    for place, example in enumerate(examples):
        assert coming is not None  # noqa: S101 - there is one for each picture
        arrived = await coming
        coming = asyncio.create_task(asyncio.to_thread(make, place + 1)) if place + 1 < len(examples) else None
        yield example, arrived


def _hardship(kind: str, step: str, told: Sequence[tuple[Example, float]]) -> Hardship:
    sample = sample_of([example for example, _ in told], [logit for _, logit in told])
    return Hardship(kind, step, len(told), estimates(sample, draws=DRAWS))


def _places(examples: Sequence[Example], label: bool) -> list[int]:
    return [place for place, example in enumerate(examples) if example.label is label]


def _lot(example: Example) -> bytes:
    return hashlib.sha256((example.sha256 or str(example.path)).encode()).digest()


def falls(found: Sequence[Hardship]) -> dict[tuple[str, str], float]:
    """By how much accuracy falls under each condition, beside the pictures as they are; in points of a share."""
    plain = next((one.figures["accuracy"].value for one in found if (one.kind, one.step) == AS_SENT), None)
    return {
        (one.kind, one.step): plain - value
        for one in found
        if plain is not None and (value := one.figures["accuracy"].value) is not None
    }
