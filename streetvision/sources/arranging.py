"""Bringing what was added in order: near duplicates found, contrary labels left out, every picture given its split."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from streetvision.base.sqlite import transaction
from streetvision.sources.embeddings import read_embeddings
from streetvision.sources.near_duplicates import near_fingerprints
from streetvision.sources.neighbours import EMBEDDING_DISTANCE, close_pairs, group
from streetvision.sources.schema import BELIEVED
from streetvision.sources.splitting import Placed, Shares, place
from streetvision.sources.store import DatasetStore, store_sentences
from streetvision.sources.stored import CONTRARY

STRADDLING = "it resembles pictures of two splits"

_ROWS = f"""
SELECT sha256, fingerprint, split, min(label), max(label), group_concat(DISTINCT hex(picture_group))
FROM pictures JOIN {BELIEVED} USING (sha256) GROUP BY sha256 ORDER BY sha256
"""  # noqa: S608 - our own words
Pairs = Iterable[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Row:
    sha256: str
    fingerprint: int
    split: str | None
    labels: tuple[int, int]
    """Least and greatest."""
    groups: tuple[str, ...]


def arrange(store: DatasetStore, shares: Shares) -> None:
    """Give every picture its cluster of near duplicates and its split, all or nothing; raises SourceError."""
    with store_sentences(store.folder):
        rows = _read(store.db)
        good = [row for row in rows if row.labels[0] == row.labels[1]]
        near = [*_alike(good), *_embedded_alike(store.db, good)]
        clusters = group(len(good), near)
        units = group(len(good), [*near, *_grouped(good)])
        splits = place(_units(good, units), shares)
        marks: list[tuple[str | None, ...]] = [
            (good[int(first)].sha256, *_split(splits[row.sha256]), row.sha256)
            for row, first in zip(good, clusters, strict=True)
        ]
        marks += [(None, None, CONTRARY, row.sha256) for row in rows if row.labels[0] != row.labels[1]]
        with transaction(store.db):
            store.db.executemany("UPDATE pictures SET cluster = ?, split = ?, left_out = ? WHERE sha256 = ?", marks)


def _split(split: str | None) -> tuple[str | None, str | None]:
    return split, None if split else STRADDLING


def _read(db: sqlite3.Connection) -> list[_Row]:
    return [
        _Row(digest, number, split, (least, greatest), tuple(groups.split(",")))
        for digest, number, split, least, greatest, groups in db.execute(_ROWS)
    ]


def _alike(rows: Sequence[_Row]) -> Pairs:
    return near_fingerprints(np.array([row.fingerprint for row in rows], np.int64).view(np.uint64))


def _embedded_alike(db: sqlite3.Connection, rows: Sequence[_Row]) -> Pairs:
    """By every model that has embedded them, compared with its own embeddings alone."""
    place_of = {row.sha256: position for position, row in enumerate(rows)}
    for digests, vectors in read_embeddings(db):
        known = [i for i, digest in enumerate(digests) if digest in place_of]
        for i, j in close_pairs(vectors[known], EMBEDDING_DISTANCE):
            yield place_of[digests[known[i]]], place_of[digests[known[j]]]


def _grouped(rows: Sequence[_Row]) -> Pairs:
    """Each picture with the first one of its groups."""
    first: dict[str, int] = {}
    for position, row in enumerate(rows):
        for name in row.groups:
            if first.setdefault(name, position) != position:
                yield first[name], position


def _units(rows: Sequence[_Row], units: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[list[Placed]]:
    members: dict[int, list[Placed]] = defaultdict(list)
    for row, unit in zip(rows, units, strict=True):
        members[int(unit)].append(Placed(row.sha256, bool(row.labels[0]), row.split))
    return list(members.values())
