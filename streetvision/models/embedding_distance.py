"""How far a picture's embedding lies from those that a model has learnt from: a Mahalanobis distance.

Directions in which the known embeddings hardly differ count for more than those in which they differ much. Source:
K. Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks, NeurIPS
2018, with one mean for all pictures; their covariance is shrunk towards a multiple of the identity, since a few hundred
pictures do not determine it, and beyond MAX_RANK directions one variance stands for all.
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
"""Added, for where all embeddings are the same."""
MAX_RANK = 256
"""Directions that are told apart: all of them cost a batch of long embeddings tens of milliseconds on a slow
processor, and give hardly other distances (with 768 numbers they correlate at 1.000)."""
TENSORS = ("mean", "directions", "variances")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class KnownEmbeddings:
    """Embeddings that a model has learnt from, in the figures that distances from them take."""

    mean: Floats
    """[D]."""
    directions: Floats
    """[D, R], orthonormal: those in which the known embeddings differ most."""
    variances: Floats
    """[R + 1], above 0: in each of them, and in every other direction alike."""

    def distances(self, embeddings: Floats) -> Floats:
        """Of embeddings [N, D]: [N], at least 0; about 1 for what resembles the known ones, whatever D is."""
        apart = embeddings - self.mean
        along = (apart @ self.directions) ** 2
        rest = np.maximum(np.sum(apart * apart, axis=1) - along.sum(axis=1), 0.0)
        total = along @ (1.0 / self.variances[:-1]) + rest / self.variances[-1]
        return np.asarray(np.sqrt(total / len(self.mean)), np.float32)

    def to_bytes(self) -> bytes:
        """As ROUTER_FILE holds it."""
        return save({name: getattr(self, name) for name in TENSORS})


def known_embeddings(embeddings: NDArray[np.floating], shrinkage: float = SHRINKAGE) -> KnownEmbeddings:
    """Learn from embeddings [N, D] with N of at least 2; raises ValueError for fewer."""
    if len(embeddings) < 2:
        raise ValueError("the spread of embeddings takes at least two of them")
    wide = embeddings.astype(np.float64)
    mean = wide.mean(axis=0)
    ascending, vectors = np.linalg.eigh(np.cov(wide.T).reshape(len(mean), len(mean)))
    variances = np.maximum(ascending[::-1], 0.0)
    rank = min(MAX_RANK, len(mean))
    # Without other directions any variance does: what is left over is then but rounding.
    rest = float((variances[rank:] if rank < len(mean) else variances).mean())
    kept = np.append(variances[:rank], rest) + shrinkage * float(variances.mean()) + LEAST_VARIANCE
    directions = np.ascontiguousarray(vectors[:, ::-1][:, :rank], np.float32)
    return KnownEmbeddings(mean.astype(np.float32), directions, kept.astype(np.float32))


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
    if set(tensors) != set(TENSORS):
        raise CheckpointError(f"{path} must hold the tensors {', '.join(TENSORS)}, and no others.")
    mean, directions, variances = (tensors[name] for name in TENSORS)
    rank = len(variances) - 1 if variances.ndim == 1 else -1
    if not 1 <= rank <= dim or mean.shape != (dim,) or directions.shape != (dim, rank):
        shapes = ", ".join(str(list(tensors[name].shape)) for name in TENSORS)
        raise CheckpointError(
            f"{path} has tensors of shapes {shapes}, but its first member's embeddings have {dim} numbers: combine the "
            "members anew."
        )
    if any(tensor.dtype != np.float32 for tensor in tensors.values()):
        raise CheckpointError(f"{path} must hold float32.")
    known = KnownEmbeddings(*(np.asarray(tensors[name], np.float32) for name in TENSORS))
    if not all(bool(np.isfinite(getattr(known, name)).all()) for name in TENSORS) or not (known.variances > 0).all():
        raise CheckpointError(f"{path} holds NaN, infinity or a variance that is not above 0.")
    return known
