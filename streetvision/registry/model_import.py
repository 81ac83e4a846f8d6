"""What a model goes through before it enters the registry: its files are copied by name, it loads, it answers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streetvision.errors import OperatorError, reason
from streetvision.models.checks import CheckpointError
from streetvision.models.config import ModelConfig
from streetvision.models.ensemble import (
    Resolve,
    is_ensemble,
    member_configs,
    member_folders,
    read_ensemble,
)
from streetvision.models.folder import CONFIG_FILE, ENSEMBLE_FILE, WEIGHTS_FILE, read_config, refuse_pickled
from streetvision.models.router import MAX_ROUTER_BYTES, ROUTER_FILE
from streetvision.models.versions import GOLDEN_FILE, is_version

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ImportProgress = Callable[[str, int, int], None]
"""Hears of long work: what is being done, how much of it is done, how much it is (0: unknown)."""

SMALL_LIMIT_BYTES = 4 << 20
WEIGHTS_LIMIT_BYTES = 64 << 30
"""A ViT-7B in float32 is 27 GB."""
EXTRAS = ("model_card.json", "README.md", "LICENSE")
COPIED = (CONFIG_FILE, ENSEMBLE_FILE, ROUTER_FILE, WEIGHTS_FILE, *EXTRAS)
LIMITS_BYTES = {WEIGHTS_FILE: WEIGHTS_LIMIT_BYTES, ROUTER_FILE: MAX_ROUTER_BYTES}
_CHUNK = 8 << 20


def no_progress(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What loading a model and showing it the golden pictures told."""

    input_size: int
    logits: tuple[float, ...]
    """Calibrated logits of the golden pictures, float32 on the CPU."""
    why_not: str | None
    """Why it may not serve although it is sound, as a clause; None when it may."""

    def write_golden(self, folder: Path) -> None:
        """Record the answers in golden.json."""
        fields = {"format": 1, "input_size": self.input_size, "logits": list(self.logits)}
        (folder / GOLDEN_FILE).write_text(json.dumps(fields) + "\n", encoding="utf-8")


def read_golden(folder: Path) -> tuple[float, ...] | None:
    """The golden answers recorded when a version was added; None where there are none (the bundled one)."""
    path = folder / GOLDEN_FILE
    try:
        return tuple(float(logit) for logit in json.loads(path.read_text(encoding="utf-8"))["logits"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged ({reason(error)}): remove the version and add it again.") from error


@dataclass(frozen=True, slots=True)
class Described:
    """What a model's own files say of it."""

    version: str
    name: str
    kind: str
    created: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)


def describe(folder: Path) -> Described:
    """Read a model's description; changes nothing. Raises CheckpointError."""
    described = _described(folder)
    if not is_version(described.version):
        raise CheckpointError(f"The version {described.version[:60]!r} is too long or too large; choose another one.")
    return described


def rename_version(folder: Path, version: str) -> None:
    """Write another version into a model's description, for a copy that is the registry's own; CheckpointError."""
    if not is_version(version):
        raise CheckpointError(f"{version!r} is no semantic version such as 1.0.0.")
    if is_ensemble(folder):
        ensemble = read_ensemble(folder)
        if version != ensemble.version:
            (folder / ENSEMBLE_FILE).write_text(replace(ensemble, version=version).to_json(), encoding="utf-8")
        return
    config = read_config(folder)
    if version != config.version:
        (folder / CONFIG_FILE).write_text(replace(config, version=version).to_json(), encoding="utf-8")


def _described(folder: Path) -> Described:
    if is_ensemble(folder):
        ensemble = read_ensemble(folder)
        card = ensemble.card
        return Described(ensemble.version, ensemble.name, "ensemble", ensemble.created, metrics_in(card), card)
    config = read_config(folder)
    return Described(config.version, config.name, "checkpoint", config.created, metrics_in(config.card), config.card)


def metrics_in(card: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that a card gives under `metrics`; empty without them."""
    metrics = card.get("metrics")
    return dict(metrics) if isinstance(metrics, Mapping) else {}


def examine(folder: Path, resolve: Resolve, progress: ImportProgress = no_progress) -> Findings:
    """Load a model on the CPU as the miner would and let it answer the golden pictures; raises CheckpointError.

    `resolve` finds the registry versions that an ensemble names. All members of an ensemble answer, whatever its router
    would ask.
    """
    import numpy as np  # here and below: `models list` needs none of it

    if not is_ensemble(folder):
        return _try_checkpoint(folder, progress)
    from streetvision.models.embedding_distance import read_known_embeddings

    ensemble = read_ensemble(folder)
    first, *_ = member_configs(folder, ensemble, resolve)
    if ensemble.router is not None:
        read_known_embeddings(folder, ensemble.router, first.head.embedding_dim)
    folders = member_folders(folder, ensemble, resolve)
    seen = first.input_size
    found = [_try_checkpoint(path, progress, seen) for path in folders]
    weights, bias = ensemble.mixture
    answers = np.tensordot(weights, [one.logits for one in found], 1) + bias
    why_not = next((one.why_not for one in found if one.why_not is not None), None)
    return Findings(found[0].input_size, tuple(float(x) for x in answers), why_not)


def _try_checkpoint(folder: Path, progress: ImportProgress, seen: int | None = None) -> Findings:
    """`seen` is the size of the golden pictures, where that is another than the model's own (in an ensemble)."""
    import numpy as np

    from streetvision.models.golden import golden_problem

    try:
        config, answers = _answers(folder, progress, seen)
    except (RuntimeError, MemoryError) as error:
        why = next(iter(str(error).splitlines()), "out of memory")
        raise CheckpointError(f"The model in {folder} cannot be run here ({why}).") from error
    if not np.isfinite(answers).all():
        raise CheckpointError(f"The model in {folder} answers NaN or infinity; it is unusable.")
    problem = golden_problem(answers, None)
    why_not = config.why_not_servable or (problem and f"it {problem}")
    return Findings(config.input_size, tuple(float(x) for x in answers), why_not)


def _answers(folder: Path, progress: ImportProgress, seen: int | None) -> tuple[ModelConfig, NDArray[np.float32]]:
    import torch

    from streetvision.models.golden import golden_images, resized
    from streetvision.models.network import load

    progress("loading", 0, 0)
    loaded = load(folder, untrained=True)
    size = loaded.config.input_size
    images = resized(golden_images(seen or size), size)
    logits = []
    with torch.inference_mode():
        for done, image in enumerate(torch.from_numpy(images)):
            progress("trying", done, len(images))
            logits.append(loaded.net.forward_uint8(image[None])[0])
    return loaded.config, torch.cat(logits).numpy()


def copy_model(source: Path, target: Path, progress: ImportProgress = no_progress) -> None:
    """Copy the files that belong to a model from a stranger's folder, no others; CheckpointError when one is odd."""
    if not source.is_dir():
        refuse_pickled(source)
        raise CheckpointError(f"{source} is not a folder; a model is a folder with {WEIGHTS_FILE} and {CONFIG_FILE}.")
    refuse_pickled(source)
    if not any((source / name).exists() for name in (CONFIG_FILE, ENSEMBLE_FILE)):
        raise CheckpointError(f"{source} has no {CONFIG_FILE}, so its weights cannot be interpreted.")
    files = list(_model_files(source.resolve()))
    total = sum(size for _, size in files)
    free = shutil.disk_usage(target).free
    if total > free:
        raise OperatorError(f"The model takes {_mib(total)} but only {_mib(free)} are free on its disk.")
    done = 0
    for path, _ in files:
        place = target / path.relative_to(source.resolve())
        place.parent.mkdir(parents=True, exist_ok=True)
        for count in _copy(path, place):
            done += count
            progress("copying", done, total)


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def copy_extras(source: Path, target: Path) -> None:
    """Copy what a model's folder says for people, to stand beside a converted model."""
    root = source.resolve()
    for path, _ in _files_in(root, root, EXTRAS):
        for _ in _copy(path, target / path.name):
            pass


def _model_files(root: Path) -> Iterator[tuple[Path, int]]:
    """The model's files and sizes: the folder's own, and those of the members inside an ensemble."""
    yield from _files_in(root, root, COPIED)
    if is_ensemble(root):
        inside = dict.fromkeys(member.folder for member in read_ensemble(root).members if member.folder)
        for folder in inside:
            yield from _files_in(root, root / folder, (CONFIG_FILE, WEIGHTS_FILE))


def _files_in(root: Path, folder: Path, names: Iterable[str]) -> Iterator[tuple[Path, int]]:
    """Those of the names that are there; a link that leaves `root`, a pipe or an absurd size is refused."""
    for path in (folder / name for name in names):
        if not path.exists() and not path.is_symlink():
            continue
        if not path.resolve().is_relative_to(root):
            raise CheckpointError(
                f"{path} is a link that leaves its folder; copy the folder with `cp -rL` and add that."
            )
        if not path.is_file():
            raise CheckpointError(f"{path} is not a regular file.")
        size, limit = path.stat().st_size, LIMITS_BYTES.get(path.name, SMALL_LIMIT_BYTES)
        if size > limit:
            raise CheckpointError(f"{path} is too large for its part in a model ({size} bytes).")
        yield path, size


def _copy(source: Path, target: Path) -> Iterator[int]:
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            writer.write(chunk)
            yield len(chunk)
        writer.flush()
        os.fsync(writer.fileno())
