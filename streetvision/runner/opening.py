"""From a version's folder to a Runner: a checkpoint by itself, or an ensemble with its members and views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streetvision.engine.ensemble import EnsembleRunner
from streetvision.engine.router import Router
from streetvision.engine.types import Runner
from streetvision.models.config import ModelConfig
from streetvision.models.embedding_distance import read_known_embeddings
from streetvision.models.ensemble import (
    EnsembleConfig,
    Resolve,
    is_ensemble,
    member_configs,
    member_folders,
    read_ensemble,
)
from streetvision.runner.torch_runner import TorchRunner


def open_runner(
    folder: Path,
    *,
    device: str = "auto",
    compile: bool | None = None,
    threads: int | None = None,
    buckets: Sequence[int] | None = None,
    resolve: Resolve | None = None,
    precision: str = "default",
    verdicts: Path | None = None,
) -> Runner:
    """Load the checkpoint or ensemble in `folder`; warm it up before use.

    The options are TorchRunner's, for every member alike. `resolve` finds the registry versions that an ensemble names
    (default: folders beside it). Raises OperatorError with one sentence.
    """

    def load(path: Path) -> TorchRunner:
        return TorchRunner(
            path,
            device=device,
            compile=compile,
            threads=threads,
            buckets=buckets,
            precision=precision,
            verdicts=verdicts,
        )

    if not is_ensemble(folder):
        return load(folder)
    ensemble = read_ensemble(folder)
    first, *_ = member_configs(folder, ensemble, resolve)
    router = _open_router(folder, ensemble, first)
    folders = member_folders(folder, ensemble, resolve)
    return EnsembleRunner([load(path) for path in folders], ensemble, router)


def _open_router(folder: Path, ensemble: EnsembleConfig, first: ModelConfig) -> Router | None:
    """The router of the ensemble in `folder`, None if it has none; raises CheckpointError for a file that is amiss."""
    if ensemble.router is None:
        return None
    return Router(ensemble.router, read_known_embeddings(folder, ensemble.router, first.head.embedding_dim))
