"""A dataset looked at again: are the files what they were, do splits leak, which labels are probably wrong?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streetvision.errors import reason
from streetvision.sources.dataset import Example
from streetvision.sources.embeddings import embeddings_of
from streetvision.sources.label_noise import cross_validated
from streetvision.sources.near_duplicates import near_fingerprints
from streetvision.sources.neighbours import EMBEDDING_DISTANCE, Vectors, close_pairs, group
from streetvision.sources.stored import StoredDataset, reading

_THREADS = 4
_DOUBTFUL = 0.5


@dataclass(frozen=True, slots=True)
class Doubt:
    """A label that a probe contradicts."""

    sha256: str
    key: str
    """Its source's name for it, after the source's own."""
    path: str
    label: bool
    contrary: float
    """The probe's probability of the other label, above one half."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found."""

    pictures: int
    problems: tuple[str, ...]
    """Files that are gone, changed or unreadable."""
    contrary: tuple[tuple[str, str], ...]
    """Digests of near duplicates with contrary labels: one may be wrong, or the works small."""
    leaks: tuple[tuple[str, str], ...]
    """Digests of near duplicates in two splits."""
    model: str
    """Whose embeddings were compared."""
    agreement: float | None
    """Share of the labels that the probe shares; None where it could not be trained."""
    doubts: tuple[Doubt, ...]
    """The surest first."""


def check_dataset(
    dataset: StoredDataset, model: str, *, folds: int = 5, progress: Callable[[int], None] = lambda _: None
) -> CheckReport:
    """Hash every file, and compare by fingerprints and this model's embeddings; raises SourceError."""
    folder, examples = dataset.folder, dataset.examples()
    problems = tuple(_problems(examples, progress))
    vectors = _vectors(folder, model, examples)
    near = _near(folder, examples, vectors)
    agreement, doubts = _doubts(examples, vectors, near, _keys(folder), folds)
    return CheckReport(
        pictures=len(examples),
        problems=problems,
        contrary=_named(examples, ((i, j) for i, j in near if examples[i].label != examples[j].label)),
        leaks=_named(examples, ((i, j) for i, j in near if examples[i].split != examples[j].split)),
        model=model,
        agreement=agreement,
        doubts=doubts,
    )


def _problems(examples: Sequence[Example], progress: Callable[[int], None]) -> Iterator[str]:
    with ThreadPoolExecutor(_THREADS) as pool:
        for problem in pool.map(_problem, examples):
            progress(1)
            if problem:
                yield problem


def _problem(example: Example) -> str:
    try:
        with example.path.open("rb") as file:
            sound = hashlib.file_digest(file, "sha256").hexdigest() == example.sha256
    except OSError as error:
        return f"{example.path}: {reason(error)}"
    return "" if sound else f"{example.path}: its content has changed"


def _vectors(folder: Path, model: str, examples: Sequence[Example]) -> Vectors:
    """[N, D] in the examples' order; [N, 0] unless the model embedded all of them: a file may be gone."""
    with reading(folder) as db:
        digests, vectors = embeddings_of(db, model)
    place = {digest: i for i, digest in enumerate(digests)}
    if not examples or any(example.sha256 not in place for example in examples):
        return np.zeros((len(examples), 0), np.float32)
    return vectors[[place[example.sha256] for example in examples]]


def _near(folder: Path, examples: Sequence[Example], vectors: Vectors) -> list[tuple[int, int]]:
    with reading(folder) as db:
        fingerprints = dict(db.execute("SELECT sha256, fingerprint FROM pictures"))
    values = np.array([fingerprints[example.sha256] for example in examples], np.int64).view(np.uint64)
    pairs = {(min(pair), max(pair)) for pair in near_fingerprints(values)}
    return sorted(pairs | set(close_pairs(vectors, EMBEDDING_DISTANCE)))


def _keys(folder: Path) -> dict[str, str]:
    """A picture's key in the first of its sources, by digest."""
    with reading(folder) as db:
        return dict(db.execute("SELECT sha256, key FROM occurrences ORDER BY source DESC, key DESC"))


def _doubts(
    examples: Sequence[Example],
    vectors: Vectors,
    near: Iterable[tuple[int, int]],
    keys: Mapping[str, str],
    folds: int,
) -> tuple[float | None, tuple[Doubt, ...]]:
    if not vectors.shape[1]:
        return None, ()
    first: dict[str, int] = {}
    grouped = [(first.setdefault(example.group, i), i) for i, example in enumerate(examples)]
    units = group(len(examples), [*near, *((i, j) for i, j in grouped if i != j)])
    labels = np.array([example.label for example in examples], np.bool_)
    chances = cross_validated(vectors, labels, [int(unit) for unit in units], folds)
    contrary = np.where(labels, 1.0 - chances, chances)
    known = np.isfinite(contrary)
    if not known.any():
        return None, ()
    order = [int(i) for i in np.argsort(-np.where(known, contrary, -1.0), kind="stable") if contrary[i] > _DOUBTFUL]
    doubts = tuple(_doubt(examples[i], keys[examples[i].sha256], float(contrary[i])) for i in order)
    return float((contrary[known] < _DOUBTFUL).mean()), doubts


def _doubt(example: Example, key: str, contrary: float) -> Doubt:
    return Doubt(example.sha256, f"{example.source} {key}", str(example.path), example.label, round(contrary, 4))


def _named(examples: Sequence[Example], pairs: Iterable[tuple[int, int]]) -> tuple[tuple[str, str], ...]:
    return tuple((examples[i].sha256, examples[j].sha256) for i, j in pairs)
