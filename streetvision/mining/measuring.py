"""Facts about every picture's pixels, kept in sample fields: read from disk once, then from the dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streetvision.mining.database import Dataset, DatasetView, FiftyOne
from streetvision.mining.inspection import Facts, inspect
from streetvision.mining.schema import FACTS, FINGERPRINT, READABLE
from streetvision.mining.table import Table
from streetvision.sources.neighbours import Mask, Vectors

_CHUNK = 256

PicturesDone = Callable[[int, int], None]
"""Hears how many pictures are measured, of how many."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Facts [N] in a table's order; NaN where a picture cannot be read."""

    facts: Mapping[str, NDArray[np.float64]]
    """By each of names.FACTS."""
    readable: Mask
    fingerprints: Vectors
    """[N, D], zeros (near nothing) for the unreadable."""


def measure(fo: FiftyOne, dataset: Dataset, *, threads: int = 4, progress: PicturesDone = lambda _, __: None) -> int:
    """Measure what was not measured yet, and return how many; a killed run goes on where it was."""
    readable, image = fo.ViewField(READABLE), fo.ViewField("image")
    todo = dataset.match((readable == None) & (image == "stored"))  # noqa: E711 - a query, not a comparison
    ids, paths = todo.values(["id", "filepath"])
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(ids), _CHUNK):
            part = ids[start : start + _CHUNK]
            facts = pool.map(read_facts, paths[start : start + _CHUNK])
            _store(dataset, dict(zip(part, facts, strict=True)))
            progress(start + len(part), len(ids))
    return len(ids)


def read_measures(view: DatasetView, table: Table) -> Measures:
    """What `measure` stored, for the table of the same view."""
    ids, readable, prints, *facts = view.values(["id", READABLE, FINGERPRINT, *FACTS])
    place = {one: i for i, one in enumerate(ids)}
    order = [place[one] for one in table.ids]
    return Measures(
        facts={
            name: np.array([np.nan if column[i] is None else column[i] for i in order], np.float64)
            for name, column in zip(FACTS, facts, strict=True)
        },
        readable=np.array([readable[i] is not False for i in order], np.bool_),
        fingerprints=stack_or_zero([prints[i] for i in order]),
    )


def read_facts(path: str | Path) -> Facts | None:
    """Facts about a file; None for one that cannot be opened or read as a picture."""
    try:
        return inspect(Path(path).read_bytes())
    except OSError:
        return None


def stack_or_zero(rows: Sequence[NDArray[np.float32] | None]) -> Vectors:
    """[N, D] of rows [D], with zeros for those that are missing."""
    width = next((len(row) for row in rows if row is not None), 1)
    filled = [np.zeros(width, np.float32) if row is None else np.asarray(row, np.float32) for row in rows]
    return np.stack(filled) if filled else np.zeros((0, width), np.float32)


def _store(dataset: Dataset, facts: Mapping[str, Facts | None]) -> None:
    """The facts first and `readable` last: it says that a picture is done."""
    good = {one: fact for one, fact in facts.items() if fact is not None}
    for name in (*FACTS, FINGERPRINT):
        values = {one: getattr(fact, name) for one, fact in good.items()}
        if values:
            dataset.set_values(name, values, key_field="id", progress=False)
    done = {one: fact is not None for one, fact in facts.items()}
    dataset.set_values(READABLE, done, key_field="id", progress=False)
