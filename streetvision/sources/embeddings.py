"""A model's embeddings of a dataset's pictures, kept beside them: for near duplicates and doubtful labels."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np

from streetvision.sources.neighbours import Vectors


def read_embeddings(db: sqlite3.Connection) -> Iterator[tuple[list[str], Vectors]]:
    """For each model the digests and their vectors, in the order of digests."""
    for (model,) in db.execute("SELECT DISTINCT model FROM embeddings ORDER BY model").fetchall():
        yield embeddings_of(db, model)


def embeddings_of(db: sqlite3.Connection, model: str) -> tuple[list[str], Vectors]:
    """The digests that this model embedded, and their vectors."""
    rows = db.execute("SELECT sha256, vector FROM embeddings WHERE model = ? ORDER BY sha256", [model]).fetchall()
    vectors = [np.frombuffer(vector, np.float16) for _, vector in rows]
    return [digest for digest, _ in rows], np.array(vectors, np.float32) if rows else np.zeros((0, 0), np.float32)
