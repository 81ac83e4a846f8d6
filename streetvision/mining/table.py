"""The dataset as arrays, read once: what scores and splits work on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streetvision.mining.database import DatasetView
from streetvision.mining.schema import EMBEDDING, EMBEDDING_MODEL, FIRST, PREDICTIONS, SECOND, SPLIT, VIDEO
from streetvision.mining.scores import Scores
from streetvision.mining.splitting import Side
from streetvision.sources.neighbours import Mask, Vectors

MEMBERS = (FIRST, SECOND)
"""Beside the versions' names, which are never words."""


@dataclass(frozen=True, slots=True)
class Table:
    """N samples in the order of their digests; every sequence has length N."""

    ids: tuple[str, ...]
    sha256: tuple[str, ...]
    paths: tuple[Path, ...]
    stored: Mask
    """Whether the image is still there."""
    probabilities: Scores
    """NaN where no request was answered."""
    answers: tuple[Mapping[str, float], ...]
    """Probability by model version, and by MEMBERS where two members of an ensemble answered."""
    embeddings: tuple[NDArray[np.float32] | None, ...]
    embedding_models: tuple[str | None, ...]
    splits: tuple[Side | None, ...]
    """Where an export put it."""
    seen: tuple[float, ...]
    """Unix seconds of the last request."""
    asked: tuple[int, ...]
    """Requests that sent it."""
    videos: tuple[str | None, ...]
    """The video that it is a frame of."""

    def __len__(self) -> int:
        return len(self.ids)

    def newest_embedding_model(self) -> str | None:
        """The version that embedded the picture seen last; vectors of other versions mean something else."""
        dated = zip(self.seen, self.embedding_models, strict=True)
        return max(((seen, model) for seen, model in dated if model is not None), default=(0.0, None))[1]

    def embedded_by(self, model: str | None) -> Mask:
        """[N]: which pictures have a vector of this version."""
        return np.array([model is not None and one == model for one in self.embedding_models], np.bool_)

    def vectors(self, chosen: Mask) -> Vectors:
        """[M, D]: the vectors of those chosen, all of one version."""
        rows = [one for one, wanted in zip(self.embeddings, chosen, strict=True) if wanted and one is not None]
        return np.stack(rows).astype(np.float32) if rows else np.zeros((0, 1), np.float32)


def read_table(view: DatasetView) -> Table:
    """Read a dataset or a view of it."""
    fields = [
        "id",
        "sha256",
        "filepath",
        "image",
        "probability",
        EMBEDDING,
        EMBEDDING_MODEL,
        SPLIT,
        "last_seen",
        "asked",
        VIDEO,
        *MEMBERS,
    ]
    nested = [f"{PREDICTIONS}.classifications.{name}" for name in ("model", "probability")]
    columns = view.values([*fields, *nested])
    order = sorted(range(len(columns[0])), key=lambda i: columns[1][i])
    (
        ids,
        digests,
        paths,
        image,
        probability,
        vectors,
        models,
        splits,
        seen,
        asked,
        videos,
        first,
        second,
        versions,
        answers,
    ) = ([column[i] for i in order] for column in columns)
    return Table(
        ids=tuple(ids),
        sha256=tuple(digests),
        paths=tuple(Path(path) for path in paths),
        stored=np.array([state == "stored" for state in image], np.bool_),
        probabilities=np.array([np.nan if p is None else p for p in probability], np.float64),
        answers=tuple(
            dict(zip(m or (), p or (), strict=True)) | _members(pair)
            for m, p, *pair in zip(versions, answers, first, second, strict=True)
        ),
        embeddings=tuple(vectors),
        embedding_models=tuple(models),
        splits=tuple(splits),
        seen=tuple(0.0 if moment is None else moment.timestamp() for moment in seen),
        asked=tuple(asked),
        videos=tuple(videos),
    )


def _members(pair: list[float | None]) -> dict[str, float]:
    """Both members' probabilities, where both answered."""
    known = {name: value for name, value in zip(MEMBERS, pair, strict=True) if value is not None}
    return known if len(known) == len(MEMBERS) else {}
