"""The dataset's pictures through another model version: its answers beside the old ones, its embeddings in their place.

Versions can then be compared on every picture (`disagreement`), and pictures embedded by different versions become
comparable again. What the miner served stays in the field `prediction`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streetvision.engine.engine import Engine
from streetvision.engine.offline import predict_offline
from streetvision.engine.types import EngineError, Prediction
from streetvision.mining.database import Dataset, FiftyOne, Sample
from streetvision.mining.schema import (
    EMBEDDING,
    EMBEDDING_MODEL,
    FIRST,
    PREDICTION,
    PREDICTIONS,
    SECOND,
    classification,
)
from streetvision.models.logits import sigmoid

_TOGETHER = 32
NOBODY = 0
"""In place of the request that an answer was for."""


@dataclass(slots=True)
class RescoreReport:
    """What was done."""

    version: str
    answered: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    """Pictures without an answer, by why."""


async def rescore(
    fo: FiftyOne,
    dataset: Dataset,
    engine: Engine,
    version: str,
    *,
    limit: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> RescoreReport:
    """Answer the pictures that this version has not embedded yet, newest first; a killed run goes on where it was.

    `engine` has started and serves model `version`.
    """
    report = RescoreReport(version)
    todo = unscored(fo, dataset, version, limit)
    ids = todo.values("id")
    for start in range(0, len(ids), _TOGETHER):
        samples = list(dataset.select(ids[start : start + _TOGETHER]).iter_samples(progress=False))
        answers = await asyncio.gather(*(_answer(engine, Path(sample.filepath)) for sample in samples))
        _store(fo, samples, answers, report)
        progress(len(samples))
    return report


def unscored(fo: FiftyOne, dataset: Dataset, version: str, limit: int | None = None) -> Sample:
    """A view of what `rescore` would answer, newest first."""
    image, model = fo.ViewField("image"), fo.ViewField(EMBEDDING_MODEL)
    view = dataset.match((image == "stored") & (model != version)).sort_by("last_seen", reverse=True)
    return view if limit is None else view.limit(limit)


async def _answer(engine: Engine, path: Path) -> Prediction | str:
    """An answer, or why there is none."""
    try:
        data = await asyncio.to_thread(path.read_bytes)
        return await predict_offline(engine, data)
    except FileNotFoundError:
        return "gone"
    except EngineError as error:
        return error.reason


def _store(fo: FiftyOne, samples: Sequence[Sample], answers: Sequence[Prediction | str], report: RescoreReport) -> None:
    for sample, answer in zip(samples, answers, strict=True):
        if isinstance(answer, str):
            report.failed[answer] = report.failed.get(answer, 0) + 1
            continue
        _add(fo, sample, answer)
        sample.save()
        report.answered += 1


def _add(fo: FiftyOne, sample: Sample, answer: Prediction) -> None:
    kept = sample[PREDICTIONS].classifications if sample[PREDICTIONS] else []
    mine = classification(fo, answer.probability, answer.logit, model=answer.model_version, request=NOBODY)
    others = [one for one in kept if one["model"] != answer.model_version]
    served = [one for one in kept if one["model"] == answer.model_version and one["request"] != NOBODY]
    sample[PREDICTIONS] = fo.Classifications(classifications=[*others, *(served or [mine])])
    if sample[PREDICTION] is None:
        sample[PREDICTION] = mine.copy()
        sample["probability"], sample["logit"] = answer.probability, answer.logit
        sample["model_version"] = answer.model_version
    if len(answer.members) > 1:
        sample[FIRST], sample[SECOND] = (sigmoid(logit) for logit in answer.members[:2])
    sample[EMBEDDING] = answer.embedding.astype(np.float32)
    sample[EMBEDDING_MODEL] = answer.model_version
