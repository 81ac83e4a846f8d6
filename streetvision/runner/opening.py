"""From a version's folder to a Runner: a checkpoint by itself, or an ensemble with its members and views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streetvision.engine.ensemble import EnsembleRunner
from streetvision.engine.types import Runner
from streetvision.models.ensemble import (
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
    member_configs(folder, ensemble, resolve)
    folders = member_folders(folder, ensemble, resolve)
    return EnsembleRunner([load(path) for path in folders], ensemble)
