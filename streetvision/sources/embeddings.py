"""A model's embeddings of a dataset's pictures, kept beside them: for near duplicates and doubtful labels.

Each picture is embedded once; what an interruption leaves is done next time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from streetvision.base.sqlite import transaction
from streetvision.engine.decode import DecodeLimits, decode_looks
from streetvision.engine.ensemble import Sight
from streetvision.engine.types import BadImage, ImageArray, Runner
from streetvision.sources.neighbours import Vectors
from streetvision.sources.store import DatasetStore, store_sentences

_THREADS = 4
_WAITING = """
SELECT DISTINCT sha256, file FROM pictures JOIN occurrences USING (sha256)
WHERE sha256 NOT IN (SELECT sha256 FROM embeddings WHERE model = ?) ORDER BY sha256
"""


def waiting(store: DatasetStore, model: str) -> list[tuple[str, Path]]:
    """Digest and file of the pictures that this model has not embedded."""
    with store_sentences(store.folder):
        return [(digest, store.folder / file) for digest, file in store.db.execute(_WAITING, [model])]


def embed(store: DatasetStore, runner: Runner, *, progress: Callable[[int], None] = lambda _: None) -> None:
    """Embed and keep them, a batch at a time, as half precision; `progress` hears of each batch's size."""
    size, sight = runner.buckets[-1], Sight(runner)
    with ThreadPoolExecutor(_THREADS) as pool, store_sentences(store.folder):
        left = waiting(store, runner.version)
        for batch in (left[start : start + size] for start in range(0, len(left), size)):
            images = pool.map(partial(_decode, sight), [path for _, path in batch])
            found = [(digest, image) for (digest, _), image in zip(batch, images, strict=True) if image is not None]
            if found:
                vectors = runner.run(np.stack([image for _, image in found])).embeddings.astype(np.float16)
                _keep(store, [digest for digest, _ in found], runner.version, [vector.tobytes() for vector in vectors])
            progress(len(batch))


def read_embeddings(db: sqlite3.Connection) -> Iterator[tuple[list[str], Vectors]]:
    """For each model the digests and their vectors, in the order of digests."""
    for (model,) in db.execute("SELECT DISTINCT model FROM embeddings ORDER BY model").fetchall():
        yield embeddings_of(db, model)


def embeddings_of(db: sqlite3.Connection, model: str) -> tuple[list[str], Vectors]:
    """The digests that this model embedded, and their vectors."""
    rows = db.execute("SELECT sha256, vector FROM embeddings WHERE model = ? ORDER BY sha256", [model]).fetchall()
    vectors = [np.frombuffer(vector, np.float16) for _, vector in rows]
    return [digest for digest, _ in rows], np.array(vectors, np.float32) if rows else np.zeros((0, 0), np.float32)


def _decode(sight: Sight, path: Path) -> ImageArray | None:
    """None for a file that went or changed: checking.py says so."""
    try:
        return decode_looks(path.read_bytes(), sight.plain, limits=DecodeLimits()).array
    except (OSError, BadImage):
        return None


def _keep(store: DatasetStore, digests: Sequence[str], model: str, vectors: Sequence[bytes]) -> None:
    with transaction(store.db):
        store.db.executemany(
            "INSERT OR REPLACE INTO embeddings (sha256, model, vector) VALUES (?, ?, ?)",
            [(digest, model, vector) for digest, vector in zip(digests, vectors, strict=True)],
        )
