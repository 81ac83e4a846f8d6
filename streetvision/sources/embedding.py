"""Embedding a dataset's pictures by a model, each once; what an interruption leaves is done next time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from streetvision.base.sqlite import transaction
from streetvision.engine.decode import DecodeLimits, decode_looks
from streetvision.engine.types import BadImage, ImageArray, Resampling, Runner
from streetvision.engine.views import Eye, plain_look, resize_rule
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
    size = runner.buckets[-1]
    eye = Eye(runner.input_size, resize_rule(runner.resize), resample=_filter(runner))
    with ThreadPoolExecutor(_THREADS) as pool, store_sentences(store.folder):
        left = waiting(store, runner.version)
        for batch in (left[start : start + size] for start in range(0, len(left), size)):
            images = pool.map(partial(_decode, eye), [path for _, path in batch])
            found = [(digest, image) for (digest, _), image in zip(batch, images, strict=True) if image is not None]
            if found:
                vectors = runner.run(np.stack([image for _, image in found])).embeddings.astype(np.float16)
                _keep(store, [digest for digest, _ in found], runner.version, [vector.tobytes() for vector in vectors])
            progress(len(batch))


def _filter(runner: Runner) -> str:
    return runner.resample if isinstance(runner, Resampling) else "bicubic"


def _decode(eye: Eye, path: Path) -> ImageArray | None:
    """None for a file that went or changed: checking.py says so."""
    try:
        data = path.read_bytes()
        return decode_looks(data, lambda width, height: (plain_look(width, height, eye),), limits=DecodeLimits()).array
    except (OSError, BadImage):
        return None


def _keep(store: DatasetStore, digests: Sequence[str], model: str, vectors: Sequence[bytes]) -> None:
    with transaction(store.db):
        store.db.executemany(
            "INSERT OR REPLACE INTO embeddings (sha256, model, vector) VALUES (?, ?, ?)",
            [(digest, model, vector) for digest, vector in zip(digests, vectors, strict=True)],
        )
