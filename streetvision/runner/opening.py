"""From a version's folder to a Runner: a checkpoint by itself, or an ensemble with its members and views."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from streetvision.engine.ensemble import EnsembleRunner
from streetvision.engine.router import Router
from streetvision.engine.types import Runner
from streetvision.errors import OperatorError
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
from streetvision.models.folder import read_config
from streetvision.runner.devices import device_kind, first_line
from streetvision.runner.order import Place, first_runner, installed

CONVERTED = "openvino"
"""Folder of converted models, within that of the verdicts."""

logger = logging.getLogger(__name__)


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
    runner: str = "torch",
) -> Runner:
    """Load the checkpoint or ensemble in `folder`; warm it up before use.

    The options are TorchRunner's, for every member alike; `runner` is one of RUNNERS: torch for commands that answer
    once, which would convert a model in vain. `resolve` finds the registry versions that an ensemble names (default:
    folders beside it). Raises OperatorError with one sentence.
    """

    def load(path: Path) -> Runner:
        ordered = first_runner(runner, Place(device_kind(device), read_config(path).architecture, installed()))
        logger.info("the runner of %s is %s: %s", path.name, ordered.runner, ordered.why)
        if ordered.runner == "openvino":
            converted = None if verdicts is None else verdicts / CONVERTED
            try:
                return _open_openvino(path, buckets, threads, precision, converted)
            except (RuntimeError, ImportError) as error:
                if runner == "openvino":
                    raise OperatorError(f"OpenVINO cannot serve {path.name}: {first_line(error)}.") from error
                logger.warning("OpenVINO cannot serve %s, so torch does: %s", path.name, first_line(error))
        if ordered.runner == "max":
            return _open_max(path, device, buckets, threads, precision)
        from streetvision.runner.torch_runner import TorchRunner  # torch takes seconds to import

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


def _open_openvino(
    folder: Path, buckets: Sequence[int] | None, threads: int | None, precision: str, converted: Path | None
) -> Runner:
    from streetvision.runner.openvino_runner import OpenVinoRunner

    return OpenVinoRunner(folder, buckets=buckets, threads=threads, precision=precision, kept=converted)


def _open_max(folder: Path, device: str, buckets: Sequence[int] | None, threads: int | None, precision: str) -> Runner:
    try:
        from streetvision.runner.max_runner import MaxRunner

        return MaxRunner(folder, device=device, buckets=buckets, threads=threads, precision=precision)
    except (RuntimeError, ImportError, ValueError) as error:
        raise OperatorError(f"MAX cannot serve {folder.name}: {first_line(error)}.") from error


def _open_router(folder: Path, ensemble: EnsembleConfig, first: ModelConfig) -> Router | None:
    """The router of the ensemble in `folder`, None if it has none; raises CheckpointError for a file that is amiss."""
    if ensemble.router is None:
        return None
    return Router(ensemble.router, read_known_embeddings(folder, ensemble.router, first.head.embedding_dim))
