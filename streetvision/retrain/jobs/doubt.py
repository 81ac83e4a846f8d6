"""Are the new labels what they should be? The serving model and a probe over its embeddings are asked.

A label set that somebody turned round, by malice or by a mistaken column, would teach the contrary of what is so. It is
found here before hours are spent on it; the frozen set would refuse the model in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from streetvision.engine.types import Prediction
from streetvision.evaluation.predictions import Serving, answers, serving
from streetvision.retrain.child import Tell
from streetvision.retrain.combining import LABELS, NEW
from streetvision.retrain.gates import NEW_LABELS, Gate, Outcome, Standards, judge_labels
from streetvision.retrain.jobs.judge import progress_of
from streetvision.sources.dataset import Example
from streetvision.sources.label_noise import cross_validated
from streetvision.sources.listed import ListedDataset
from streetvision.sources.source import PARENT

MOST = 2000
"""New labels that are looked at, and known ones beside them; drawn at random where there are more."""

Answered = Sequence[tuple[Example, Prediction]]


def run(request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]) -> dict[str, Any]:
    """The gate on the labels that are new in the list `pictures`, by the model in `serving`."""
    listed = ListedDataset(Path(request["pictures"])).examples()
    examples = [example for example in listed if PARENT not in example.tags]  # of variations nobody gave a label
    new = [example for example in examples if example.tags.get(LABELS) == NEW]
    known = [example for example in examples if example.tags.get(LABELS) != NEW]
    if not new:
        return asdict(Gate(NEW_LABELS, Outcome.UNJUDGED, "there are none"))
    chosen = [*_drawn(new), *_drawn(known)]
    progress = progress_of("checking labels", len(chosen), tell, stop)
    told = asyncio.run(_told(Path(request["serving"]), chosen, Serving(request["device"]), progress))
    return asdict(doubt_labels(told, Standards(**request["standards"])))


def doubt_labels(told: Answered, standards: Standards) -> Gate:
    """The gate on what is new among these pictures, each with the serving model's answer."""
    examples = [example for example, _ in told]
    labels = np.array([example.label for example in examples], np.bool_)
    vectors = np.array([answer.embedding for _, answer in told], np.float32)
    probed = cross_validated(vectors, labels, _units(examples))
    served = np.array([answer.probability for _, answer in told], np.float64)
    new = np.array([example.tags.get(LABELS) == NEW for example in examples], np.bool_)
    return judge_labels(labels[new], served[new], probed[new], standards)


def _units(examples: Sequence[Example]) -> list[int]:
    """Pictures of one group of one source share a number."""
    first: dict[tuple[str, str], int] = {}
    return [first.setdefault((one.source, one.group), place) for place, one in enumerate(examples)]


def _drawn(examples: Sequence[Example]) -> list[Example]:
    if len(examples) <= MOST:
        return list(examples)
    places = np.random.default_rng(0).choice(len(examples), MOST, replace=False)
    return [examples[place] for place in sorted(places)]


async def _told(
    folder: Path, examples: Sequence[Example], how: Serving, progress: Callable[[int], None]
) -> list[tuple[Example, Prediction]]:
    told = []
    async with serving(folder, how) as engine:
        async for example, answer in answers(engine, ((one, one.path.read_bytes) for one in examples)):
            if isinstance(answer, Prediction):
                told.append((example, answer))
            progress(1)
    return told
