"""The labelled pictures on their way out: their bytes checked and copied, and which of them are nearly the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streetvision.mining.inspection import inspect
from streetvision.mining.labels import ResolvedLabel
from streetvision.mining.measuring import stack_or_zero
from streetvision.mining.splitting import Side
from streetvision.mining.table import Table
from streetvision.sources.neighbours import close_pairs

_THREADS = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that is labelled or was exported before."""

    id: str
    sha256: str
    position: int
    """In the table."""
    verdict: ResolvedLabel
    side: Side | None
    """Where an earlier export put it."""
    problem: str
    """Why it is not to be learned from; empty when it is."""
    file: str
    """Name of its copy; empty when there is none."""
    fingerprint: NDArray[np.float32] | None


def gather(
    table: Table,
    verdicts: Mapping[str, ResolvedLabel],
    sides: Mapping[str, Side],
    images: Path,
    progress: Callable[[int, int], None],
) -> list[Candidate]:
    """Everything labelled or exported before, in the order of digests; good pictures are copied into `images`."""
    chosen = [i for i, one in enumerate(table.ids) if verdicts[one].sources or table.sha256[i] in sides]
    jobs = [(table, i, verdicts[table.ids[i]], sides.get(table.sha256[i]), images) for i in chosen]
    found: list[Candidate] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for candidate in pool.map(lambda job: _candidate(*job), jobs):
            found.append(candidate)
            progress(len(found), len(jobs))
    return found


def near_pairs(
    table: Table, candidates: Sequence[Candidate], distance: float, same_picture: float
) -> Iterator[tuple[int, int]]:
    """Positions among `candidates` of near duplicates: by the embeddings of each model version, and by fingerprint."""
    models = [table.embedding_models[candidate.position] for candidate in candidates]
    for model in {model for model in models if model is not None}:
        where = [i for i, one in enumerate(models) if one == model]
        vectors = stack_or_zero([table.embeddings[candidates[i].position] for i in where])
        yield from ((where[i], where[j]) for i, j in close_pairs(vectors, distance))
    yield from close_pairs(stack_or_zero([candidate.fingerprint for candidate in candidates]), same_picture)


def same_drive(table: Table, candidates: Sequence[Candidate]) -> Iterator[tuple[int, int]]:
    """Positions among `candidates` that link all frames of one video: no split has a drive on both sides."""
    first: dict[str, int] = {}
    for place, candidate in enumerate(candidates):
        video = table.videos[candidate.position]
        if video is not None and first.setdefault(video, place) != place:
            yield first[video], place


def _candidate(table: Table, position: int, verdict: ResolvedLabel, side: Side | None, images: Path) -> Candidate:
    path, digest = table.paths[position], table.sha256[position]
    data = _read(path)
    facts = inspect(data) if data else None
    problem = verdict.problem or _not_to_learn_from(verdict)
    if not problem:
        problem = _damage(data, digest) or ("" if facts else "the image cannot be read")
    name = f"{digest}{path.suffix}"
    if not problem and data is not None:
        (images / name).write_bytes(data)
    return Candidate(
        id=table.ids[position],
        sha256=digest,
        position=position,
        verdict=verdict,
        side=side,
        problem=problem,
        file="" if problem else name,
        fingerprint=facts.fingerprint if facts else None,
    )


def _not_to_learn_from(verdict: ResolvedLabel) -> str:
    if verdict.decided:
        return ""
    return verdict.label or "no longer labelled"


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _damage(data: bytes | None, digest: str) -> str:
    if data is None:
        return "the image is gone"
    return "" if hashlib.sha256(data).hexdigest() == digest else "the image is damaged"
