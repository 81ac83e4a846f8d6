"""How far a picture's embedding lies from those that a model has learnt from: the Mahalanobis distance.

Directions in which the known embeddings hardly differ count for more than those in which they differ much. Source:
K. Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks, NeurIPS
2018, with one mean for all pictures; their covariance is shrunk towards a multiple of the identity, since a few hundred
pictures do not determine it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from streetvision.models.checks import CheckpointError
from streetvision.models.router import MAX_ROUTER_BYTES, ROUTER_FILE, RouterConfig

SHRINKAGE = 0.1
"""Share of the mean variance that is added to the variance in every direction."""

LEAST_VARIANCE = 1e-12
"""Taken where all embeddings are the same."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class KnownEmbeddings:
    """Embeddings that a model has learnt from, in the two figures that distances from them take."""

    mean: Floats
    """[D]."""
    whitening: Floats
    """[D, D]: of what it makes of the known embeddings, less their mean, every direction has variance 1."""

    def distances(self, embeddings: Floats) -> Floats:
        """Of embeddings [N, D]: [N], at least 0; about 1 for what resembles the known ones, whatever D is."""
        spread = (embeddings - self.mean) @ self.whitening
        return np.asarray(np.sqrt(np.mean(spread * spread, axis=1)), np.float32)

    def to_bytes(self) -> bytes:
        """As ROUTER_FILE holds it."""
        return save({"mean": self.mean, "whitening": self.whitening})


def known_embeddings(embeddings: NDArray[np.floating], shrinkage: float = SHRINKAGE) -> KnownEmbeddings:
    """Learn from embeddings [N, D] with N of at least 2; raises ValueError for fewer."""
    if len(embeddings) < 2:
        raise ValueError("the spread of embeddings takes at least two of them")
    wide = embeddings.astype(np.float64)
    mean = wide.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(wide.T).reshape(len(mean), len(mean)))
    added = shrinkage * max(float(variances.mean()), LEAST_VARIANCE)
    whitening = directions / np.sqrt(np.maximum(variances, 0.0) + added)
    return KnownEmbeddings(mean.astype(np.float32), np.ascontiguousarray(whitening, np.float32))


def read_known_embeddings(folder: Path, router: RouterConfig, dim: int) -> KnownEmbeddings | None:
    """What the router in `folder` measures embeddings of `dim` numbers against; None where it has no such rule.

    Raises CheckpointError for a file that is missing, damaged or another one.
    """
    if router.distance is None:
        return None
    path = folder / ROUTER_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {ROUTER_FILE}, which its router needs: fetch or combine it again.")
    if path.stat().st_size > MAX_ROUTER_BYTES:
        raise CheckpointError(f"{path} is too large for a router ({path.stat().st_size} bytes).")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != router.sha256:
        raise CheckpointError(f"{path} is damaged or belongs to another router: fetch or combine it again.")
    try:
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is not a valid safetensors file ({error}).") from error
    return _checked(tensors, path, dim)


def _checked(tensors: dict[str, NDArray[np.generic]], path: Path, dim: int) -> KnownEmbeddings:
    if set(tensors) != {"mean", "whitening"}:
        raise CheckpointError(f"{path} must hold the tensors mean and whitening, and no others.")
    mean, whitening = tensors["mean"], tensors["whitening"]
    if mean.shape != (dim,) or whitening.shape != (dim, dim):
        raise CheckpointError(
            f"{path} has tensors of shapes {list(mean.shape)} and {list(whitening.shape)}, but its first member's "
            f"embeddings have {dim} numbers: combine the members anew."
        )
    if mean.dtype != np.float32 or whitening.dtype != np.float32:
        raise CheckpointError(f"{path} must hold float32.")
    if not (np.isfinite(mean).all() and np.isfinite(whitening).all()):
        raise CheckpointError(f"{path} holds NaN or infinity.")
    return KnownEmbeddings(np.asarray(mean, np.float32), np.asarray(whitening, np.float32))
