"""TwelveLabs' Marengo: frames, pictures and words as vectors of one space, and the search by cosine in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streetvision.net.bedrock import BadAnswer, Bedrock

Vector = NDArray[np.float32]
"""[512] of Marengo 3.0."""
Kept = tuple[str, NDArray[np.float64], NDArray[np.float32]]
"""A video's uri, the times [N] and vectors [N, D] of its frames."""
LONGEST_QUERY = 500
"""Characters."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A place in a video."""

    uri: str
    time: float
    score: float
    """Cosine, -1 to 1."""


def embed_words(bedrock: Bedrock, model: str, words: str) -> Vector:
    """The vector of a search; OperatorError."""
    return read_vector(
        model, bedrock.invoke(model, {"inputType": "text", "text": {"inputText": words[:LONGEST_QUERY]}})
    )


def embed_picture(bedrock: Bedrock, model: str, jpeg: bytes) -> Vector:
    """The vector of a JPEG; OperatorError."""
    source = {"base64String": base64.b64encode(jpeg).decode()}
    return read_vector(model, bedrock.invoke(model, {"inputType": "image", "image": {"mediaSource": source}}))


def read_vector(model: str, answer: Mapping[str, Any]) -> Vector:
    """The embedding in an answer, scaled to length 1 so that half precision holds it; BadAnswer where there is none."""
    try:
        vector = np.asarray(answer["data"][0]["embedding"], np.float64)
    except (KeyError, IndexError, TypeError, ValueError):
        vector = np.zeros(0)
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all() or not vector.any():
        raise BadAnswer(f"{model} gave no embedding.")
    vector = vector / np.abs(vector).max()
    unit: Vector = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


def nearest(query: Vector, kept: Sequence[Kept], k: int) -> list[Hit]:
    """The `k` best places, best first; vectors of another size are left out."""
    hits: list[Hit] = []
    for uri, times, vectors in kept:
        if len(vectors) and vectors.shape[1] == len(query):
            lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
            scores = vectors @ query / np.maximum(lengths, 1e-12)
            hits += [Hit(uri, float(time), float(score)) for time, score in zip(times, scores, strict=True)]
    return sorted(hits, key=lambda hit: -hit.score)[:k]
