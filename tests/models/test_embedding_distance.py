"""Distances from known embeddings, and the file that keeps them, which may come from a stranger."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from streetvision.models import embedding_distance
from streetvision.models.checks import CheckpointError
from streetvision.models.embedding_distance import known_embeddings, read_known_embeddings
from streetvision.models.router import ROUTER_FILE, RouterConfig

RNG = np.random.default_rng(3)
STRETCHED = RNG.normal(size=(2000, 3)) * np.array([10.0, 1.0, 0.1]) + np.array([5.0, 0.0, 0.0])
KNOWN = known_embeddings(STRETCHED, 0.0)


def kept(folder: Path, data: bytes) -> RouterConfig:
    (folder / ROUTER_FILE).write_bytes(data)
    return RouterConfig(distance=1.0, sha256=hashlib.sha256(data).hexdigest())


def test_distances_count_in_the_spread_of_each_direction() -> None:
    points = np.array([[5, 0, 0], [25, 0, 0], [5, 2, 0], [5, 0, 0.2]], np.float32)
    assert KNOWN.distances(points) == pytest.approx([0.0, 2 / 3**0.5, 2 / 3**0.5, 2 / 3**0.5], abs=0.06)
    assert np.sqrt(np.mean(KNOWN.distances(STRETCHED.astype(np.float32)) ** 2)) == pytest.approx(1.0, abs=0.01)


def test_shrinkage_keeps_directions_without_spread_from_deciding_alone() -> None:
    flat = np.concatenate([RNG.normal(size=(50, 1)), np.zeros((50, 1))], axis=1)
    distances = known_embeddings(flat).distances(np.array([[0.0, 0.5], [0.0, 5.0]], np.float32))
    assert 1.0 < distances[0] < 3.0
    assert np.isfinite(known_embeddings(np.zeros((2, 4))).distances(np.zeros((1, 4), np.float32))).all()
    with pytest.raises(ValueError, match="at least two"):
        known_embeddings(flat[:1])


def test_directions_beyond_the_rank_share_one_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    points = RNG.normal(size=(200, 3)).astype(np.float32)
    monkeypatch.setattr(embedding_distance, "MAX_RANK", 1)
    known = known_embeddings(STRETCHED, 0.0)
    assert known.directions.shape == (3, 1)
    assert known.variances[0] == pytest.approx(100, rel=0.1)
    assert known.variances[1] == pytest.approx((1.0 + 0.01) / 2, rel=0.1)
    apart = points - known.mean
    expected = apart[:, 0] ** 2 / known.variances[0] + (apart[:, 1:] ** 2).sum(axis=1) / known.variances[1]
    np.testing.assert_allclose(known.distances(points), np.sqrt(expected / 3), rtol=0.02)


def test_what_was_kept_measures_as_before(tmp_path: Path) -> None:
    config = kept(tmp_path, KNOWN.to_bytes())
    again = read_known_embeddings(tmp_path, config, 3)
    assert again is not None
    points = RNG.normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(again.distances(points), KNOWN.distances(points))
    assert read_known_embeddings(tmp_path / "nowhere", RouterConfig(band=1.0), 3) is None


def tensors(**changes: np.ndarray) -> bytes:
    plain = {"mean": np.zeros(3), "directions": np.eye(3)[:, :2], "variances": np.ones(3)}
    return save({name: np.ascontiguousarray(value, np.float32) for name, value in plain.items()} | changes)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x80\x04pickle", "is not a valid safetensors file"),
        (b"", "is not a valid safetensors file"),
        (tensors(extra=np.zeros(1, np.float32)), "must hold the tensors mean, directions, variances, and no others"),
        (tensors(mean=np.zeros(4, np.float32)), r"\[4\], \[3, 2\], \[3\], but its first member's embeddings have 3"),
        (tensors(variances=np.zeros(4, np.float32)), r"\[3\], \[3, 2\], \[4\], but its first member's"),
        (tensors(variances=np.zeros((), np.float32)), r"\[3\], \[3, 2\], \[\], but its first member's"),
        (tensors(directions=np.eye(3)[:, :2].copy()), "must hold float32"),
        (tensors(variances=np.array([1, 0, 1], np.float32)), "a variance that is not above 0"),
        (tensors(mean=np.array([0, np.nan, 0], np.float32)), "holds NaN, infinity or"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(CheckpointError, match=why):
        read_known_embeddings(tmp_path, kept(tmp_path, data), 3)


def test_a_missing_or_exchanged_file_is_refused(tmp_path: Path) -> None:
    config = RouterConfig(distance=1.0, sha256="0" * 64)
    with pytest.raises(CheckpointError, match=r"has no router\.safetensors"):
        read_known_embeddings(tmp_path, config, 3)
    (tmp_path / ROUTER_FILE).write_bytes(KNOWN.to_bytes())
    with pytest.raises(CheckpointError, match="belongs to another router"):
        read_known_embeddings(tmp_path, config, 3)
