"""From a version's folder to a Runner: a checkpoint by itself, or an ensemble with its members and views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
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
from streetvision.runner.torch_runner import TorchRunner, WarmupStep

WarmupProgress = Callable[[WarmupStep], None]


def open_runner(
    folder: Path,
    *,
    device: str = "auto",
    compile: bool | None = None,
    threads: int | None = None,
    buckets: Sequence[int] | None = None,
    progress: WarmupProgress | None = None,
    resolve: Resolve | None = None,
    precision: str = "default",
    verdicts: Path | None = None,
) -> Runner:
    """Load the checkpoint or ensemble in `folder`; warm it up before use.

    The options are TorchRunner's, for every member alike; `progress` counts all members' buckets. `resolve` finds the
    registry versions that an ensemble names (default: folders beside it). Raises OperatorError with one sentence.
    """

    def load(path: Path, heard: WarmupProgress | None) -> TorchRunner:
        return TorchRunner(
            path,
            device=device,
            compile=compile,
            threads=threads,
            buckets=buckets,
            progress=heard,
            precision=precision,
            verdicts=verdicts,
        )

    if not is_ensemble(folder):
        return load(folder, progress)
    ensemble = read_ensemble(folder)
    member_configs(folder, ensemble, resolve)
    folders = member_folders(folder, ensemble, resolve)
    hearers = [_part(progress, place, len(folders)) for place in range(len(folders))]
    return EnsembleRunner([load(path, heard) for path, heard in zip(folders, hearers, strict=True)], ensemble)


def _part(progress: WarmupProgress | None, place: int, members: int) -> WarmupProgress | None:
    """Progress of one member as a part of the whole."""
    if progress is None:
        return None

    def hear(step: WarmupStep) -> None:
        progress(replace(step, done=step.done + place * step.total, total=members * step.total))

    return hear
