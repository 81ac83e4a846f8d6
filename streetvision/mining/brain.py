"""FiftyOne Brain's scores over our own embeddings: nothing is downloaded and no model is run.

Each score lands in a sample field of its name, so that the App can sort and filter by it, and comes back by sample id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streetvision.mining.database import Dataset, DatasetView
from streetvision.mining.schema import PREDICTION, RESOLVED
from streetvision.mining.scores import HARDNESS, MISTAKENNESS, REPRESENTATIVENESS, UNIQUENESS
from streetvision.sources.neighbours import Vectors, unit

CLUSTERS = 20
"""Clusters that representativeness looks for; fewer pictures than that have none."""

_SIDE = "mining_side"
"""Field that tells splits to FiftyOne while leaks are looked for."""

ById = dict[str, float]


def hardness(view: DatasetView) -> ById:
    """Entropy of each prediction's logits: 0 sure, ln 2 undecided. Every sample of the view must have a prediction."""
    from fiftyone import brain

    brain.compute_hardness(view, PREDICTION, hardness_field=HARDNESS, progress=False)
    return _values(view, HARDNESS)


def uniqueness(view: DatasetView, vectors: Mapping[str, Vectors]) -> ById:
    """How far each picture lies from its nearest neighbours, 0 to 1. `vectors`: one row [D] per sample id."""
    from fiftyone import brain

    rows = _aligned(view, vectors)
    if len(rows) < 2:
        return {}
    with np.errstate(invalid="ignore"):  # all pictures alike
        brain.compute_uniqueness(view, uniqueness_field=UNIQUENESS, embeddings=rows, progress=False)
    return _values(view, UNIQUENESS)


def representativeness(view: DatasetView, vectors: Mapping[str, Vectors]) -> ById:
    """How close each picture lies to the centre of its cluster, 1 in the centre; {} for fewer than CLUSTERS pictures.

    FiftyOne 1.22 writes the distance from the centre into this field, 0 in the centre, and NaN for a cluster of one
    picture. It is turned round here, in the field too; a picture that stands alone represents nothing and gets 0.
    """
    from fiftyone import brain

    rows = _aligned(view, vectors)
    if len(rows) < CLUSTERS or len(np.unique(rows, axis=0)) < CLUSTERS:
        return {}
    with np.errstate(invalid="ignore"):
        brain.compute_representativeness(
            view, representativeness_field=REPRESENTATIVENESS, embeddings=rows, progress=False
        )
    ids, distances = view.values(["id", REPRESENTATIVENESS])
    found = {
        one: 0.0 if away is None or not np.isfinite(away) else 1.0 - float(away)
        for one, away in zip(ids, distances, strict=True)
    }
    view.set_values(REPRESENTATIVENESS, found, key_field="id", progress=False)
    return found


def mistakenness(view: DatasetView) -> ById:
    """How likely each label is wrong, by how surely the model contradicts it: 0.5 and more mean that it does.

    Every sample of the view must have a prediction and a resolved label; an empty view has no scores.
    """
    from fiftyone import brain

    if not view.count():
        return {}
    brain.compute_mistakenness(
        view, PREDICTION, label_field=RESOLVED, mistakenness_field=MISTAKENNESS, use_logits=True, progress=False
    )
    return _values(view, MISTAKENNESS)


def near_duplicates(view: DatasetView, vectors: Mapping[str, Vectors], distance: float) -> set[str]:
    """Samples to leave out so that no two are within `distance` (cosine); of each bunch one stays."""
    from fiftyone import brain

    if view.count() < 2:
        return set()
    index, reach = _similarity(view, vectors, distance)
    return set(brain.compute_near_duplicates(view, threshold=reach, similarity_index=index).duplicate_ids)


def leaks(
    dataset: Dataset, vectors: Mapping[str, Vectors], splits: Mapping[str, Sequence[str]], distance: float
) -> set[str]:
    """Samples within `distance` (cosine) of one in another split; `splits`: sample ids by split.

    FiftyOne looks only at one picture of each bunch of duplicates, so that it can miss a leak: neighbours.near_any
    misses none, and callers ask both. The splits are told by a field of their own, since this version takes a dict of
    views for a list of tags and then finds nothing.
    """
    from fiftyone import brain

    sides = {one: name for name, ids in splits.items() for one in ids}
    if len(set(sides.values())) < 2:
        return set()
    dataset.set_values(_SIDE, sides, key_field="id", progress=False)
    try:
        view = dataset.select(list(sides))
        index, reach = _similarity(view, vectors, distance)
        return set(brain.compute_leaky_splits(view, _SIDE, threshold=reach, similarity_index=index).leak_ids)
    finally:
        dataset.delete_sample_field(_SIDE)


def _similarity(view: DatasetView, vectors: Mapping[str, Vectors], distance: float) -> tuple[Any, float]:
    """An index and the threshold in it that means `distance`.

    FiftyOne moves vectors to their mean before it takes angles, which makes distances depend on the company. Between
    unit vectors, Euclidean distances say the same as angles and do not mind being moved.
    """
    from fiftyone import brain

    rows = unit(_aligned(view, vectors))
    index = brain.compute_similarity(view, backend="sklearn", metric="euclidean", embeddings=rows, progress=False)
    return index, float(np.sqrt(2.0 * distance))


def _aligned(view: DatasetView, vectors: Mapping[str, Vectors]) -> Vectors:
    """[N, D] in the order of the view."""
    ids = view.values("id")
    return np.stack([vectors[one] for one in ids]).astype(np.float32) if ids else np.zeros((0, 1), np.float32)


def _values(view: DatasetView, field: str) -> ById:
    ids, values = view.values(["id", field])
    return {
        one: float(value) for one, value in zip(ids, values, strict=True) if value is not None and np.isfinite(value)
    }
