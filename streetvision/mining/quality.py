"""The quality report: repeats, files that cannot be read, odd exposures, blur, labels at odds. Numbers and views."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streetvision.mining import brain
from streetvision.mining.database import Dataset, FiftyOne
from streetvision.mining.dataset import save_view
from streetvision.mining.hard import SUSPICIOUS
from streetvision.mining.inspection import SAME_PICTURE, outliers
from streetvision.mining.labels import ResolvedLabel, read_labels
from streetvision.mining.measuring import Measures, PicturesDone, measure, read_measures
from streetvision.mining.schema import FACTS, GROUP
from streetvision.mining.scores import MISTAKENNESS
from streetvision.mining.sync import mark_evicted
from streetvision.mining.table import Table, read_table
from streetvision.sources.neighbours import EMBEDDING_DISTANCE, Mask, close_pairs, group

DARK, BRIGHT = 35.0, 220.0
"""Mean luminance beyond which a picture is badly exposed, whatever the others are."""
CLIPPED = 0.6
"""Share of black and white pixels, likewise."""
POOL = 20_000

VIEWS: Mapping[str, str] = {
    "corrupt": "Files that cannot be read as pictures",
    "duplicates": "Pictures that are nearly the same; groups stand together",
    "repeated": "Pictures that were sent more than once, byte for byte",
    "dark": "Far darker than the others, or nearly black",
    "bright": "Far brighter than the others, or nearly white",
    "clipped": "Mostly black or white pixels",
    "blurred": "Far less sharp than the others",
    "conflicts": "Labels that contradict each other, on one picture or on nearly the same ones",
    "doubtful": "Labels that the model surely contradicts",
}
"""Kinds of findings; their saved views are called `quality-<kind>`."""

Groups = NDArray[np.int64]
StepName = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What was found among the pictures that are still there."""

    images: int
    measured: int
    """Of them, read from disk now; the others had been before."""
    evicted: int
    compared: int
    """Pictures compared with each other for duplicates: the newest, up to the pool."""
    found: Mapping[str, int]
    """Pictures by kind."""
    duplicate_groups: int
    medians: Mapping[str, float]
    """Of each of names.FACTS."""
    labels: Mapping[str, int]
    """Pictures by label."""
    views: tuple[str, ...]
    """Views that were saved; kinds without findings have none."""


def report_quality(
    fo: FiftyOne,
    dataset: Dataset,
    *,
    distance: float = EMBEDDING_DISTANCE,
    pool: int = POOL,
    progress: PicturesDone = lambda _, __: None,
    step: StepName = lambda _: None,
) -> QualityReport:
    """Measure what was not measured yet, and save a view of each kind of finding."""
    step("reading the dataset")
    mark_evicted(dataset)
    verdicts = read_labels(fo, dataset)
    measured = measure(fo, dataset, progress=progress)
    step("comparing")
    view = dataset.match(fo.ViewField("image") == "stored")
    table = read_table(view)
    measures = read_measures(view, table)
    newest = _newest(table, pool)
    groups = _groups(table, measures, newest, distance)
    kinds = _pixel_kinds(measures) | _label_kinds(dataset, table, verdicts, groups)
    kinds |= {"duplicates": _shared(groups), "repeated": np.array(table.asked) > 1}
    step("saving views")
    return QualityReport(
        images=len(table),
        measured=measured,
        evicted=len(dataset) - len(table),
        compared=int(newest.sum()),
        found={kind: int(kinds[kind].sum()) for kind in VIEWS},
        duplicate_groups=len(set(groups[kinds["duplicates"]].tolist())),
        medians=_medians(measures),
        labels=dict(Counter(verdict.label for verdict in verdicts.values() if verdict.label)),
        views=_save(dataset, table, kinds, groups),
    )


def _newest(table: Table, limit: int) -> Mask:
    """Comparing all with all grows with the square."""
    kept = np.zeros(len(table), np.bool_)
    kept[sorted(range(len(table)), key=lambda i: -table.seen[i])[:limit]] = True
    return kept


def _groups(table: Table, measures: Measures, chosen: Mask, distance: float) -> Groups:
    """Pictures that look alike, or that the model of the newest embeddings cannot tell apart."""
    embedded = chosen & table.embedded_by(table.newest_embedding_model())
    pairs = [
        (int(where[i]), int(where[j]))
        for where, vectors, reach in (
            (np.flatnonzero(embedded), table.vectors(embedded), distance),
            (np.flatnonzero(chosen), measures.fingerprints[chosen], SAME_PICTURE),
        )
        for i, j in close_pairs(vectors, reach)
    ]
    return group(len(table), pairs)


def _shared(groups: Groups) -> Mask:
    """Which pictures are not alone in their group."""
    return np.asarray(np.bincount(groups, minlength=len(groups))[groups] > 1, np.bool_)


def _pixel_kinds(measures: Measures) -> dict[str, Mask]:
    brightness, sharpness = measures.facts["brightness"], measures.facts["sharpness"]
    darker, brighter = outliers(brightness)
    with np.errstate(divide="ignore"):
        softer, _ = outliers(np.log(sharpness))
    with np.errstate(invalid="ignore"):
        return {
            "corrupt": ~measures.readable,
            "dark": darker | (brightness < DARK),
            "bright": brighter | (brightness > BRIGHT),
            "clipped": measures.facts["clipped"] > CLIPPED,
            "blurred": softer | (sharpness == 0.0),
        }


def _label_kinds(
    dataset: Dataset, table: Table, verdicts: Mapping[str, ResolvedLabel], groups: Groups
) -> dict[str, Mask]:
    """Contradictions within a picture's labels, between like pictures, and with the model."""
    said = [verdicts[one] for one in table.ids]
    decided: dict[int, set[str]] = {}
    for number, verdict in zip(groups.tolist(), said, strict=True):
        if verdict.decided and verdict.label:
            decided.setdefault(number, set()).add(verdict.label)
    at_odds = [
        bool(verdict.problem) or (verdict.decided and len(decided[number]) > 1)
        for number, verdict in zip(groups.tolist(), said, strict=True)
    ]
    judged = [
        one
        for one, verdict, known in zip(table.ids, said, np.isfinite(table.probabilities), strict=True)
        if verdict.decided and known
    ]
    dataset.clear_sample_field(MISTAKENNESS)
    doubts = brain.mistakenness(dataset.select(judged))
    doubtful = [doubts.get(one, 0.0) > SUSPICIOUS for one in table.ids]
    return {"conflicts": np.array(at_odds, np.bool_), "doubtful": np.array(doubtful, np.bool_)}


def _medians(measures: Measures) -> dict[str, float]:
    known = {name: values[np.isfinite(values)] for name, values in measures.facts.items()}
    return {name: round(float(np.median(known[name])), 4) for name in FACTS if len(known[name])}


def _save(dataset: Dataset, table: Table, kinds: Mapping[str, Mask], groups: Groups) -> tuple[str, ...]:
    """Save a view of each kind with findings, and take away those of an earlier report without."""
    members = {table.ids[i]: int(groups[i]) for i in np.flatnonzero(kinds["duplicates"] | kinds["conflicts"])}
    dataset.clear_sample_field(GROUP)
    if members:
        dataset.set_values(GROUP, members, key_field="id", progress=False)
    saved = []
    for kind, description in VIEWS.items():
        name = f"quality-{kind}"
        ids = [table.ids[i] for i in np.flatnonzero(kinds[kind])]
        if ids:
            save_view(dataset, name, dataset.select(ids).sort_by(_ORDER[kind]), description)
            saved.append(name)
        elif name in dataset.list_saved_views():
            dataset.delete_saved_view(name)
    return tuple(saved)


_ORDER: Mapping[str, str] = {
    "corrupt": "last_seen",
    "duplicates": GROUP,
    "repeated": "asked",
    "dark": "brightness",
    "bright": "brightness",
    "clipped": "clipped",
    "blurred": "sharpness",
    "conflicts": GROUP,
    "doubtful": MISTAKENNESS,
}
