"""A checkpoint is a folder: `model.safetensors` holds the weights, `model.json` says all that is needed to use them.

Nothing else is read and nothing is unpickled, so a checkpoint from a stranger can be wrong but cannot run code.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save_file

from streetvision.models.checks import CheckpointError
from streetvision.models.config import ModelConfig
from streetvision.models.folder import CONFIG_FILE, WEIGHTS_FILE, read_config, require_described, require_weights

StateDict = dict[str, torch.Tensor]


def load_checkpoint(folder: Path) -> tuple[ModelConfig, StateDict]:
    """Read and verify a checkpoint; weights come back on the CPU in the dtype they are stored in.

    Raises CheckpointError with one sentence: missing or pickled files, a malformed description, a hash that differs
    from the description's, damaged weights, NaN or infinite values. Keys and shapes are checked by `dinov3.load`,
    which knows the architecture.
    """
    config = read_config(folder)
    weights = require_weights(folder).read_bytes()
    require_described(folder, config, hashlib.sha256(weights).hexdigest())
    try:
        state = load_safetensors(weights)
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS_FILE} is not a valid safetensors file ({error}).") from error
    _require_finite(state)
    return config, state


def save_checkpoint(
    folder: Path,
    config: ModelConfig,
    state: Mapping[str, torch.Tensor],
    *,
    dtype: torch.dtype | None = None,
    overwrite: bool = False,
) -> ModelConfig:
    """Write a checkpoint so that `folder` holds all of it or does not exist; returns the config with its sha256.

    `dtype` (such as torch.float16) converts floating weights for storage; None keeps them. An existing folder is an
    error unless `overwrite`.
    """
    if folder.exists() and not overwrite:
        raise CheckpointError(f"{folder} exists already; choose another folder or remove it.")
    stored = {name: _for_storage(tensor, dtype) for name, tensor in state.items()}
    _require_finite(stored)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        _save(stored, temporary / WEIGHTS_FILE)
        (temporary / WEIGHTS_FILE).chmod(0o644)  # safetensors writes for the owner alone
        digest = hashlib.sha256((temporary / WEIGHTS_FILE).read_bytes()).hexdigest()
        written = replace(config, sha256=digest)
        (temporary / CONFIG_FILE).write_text(written.to_json(), encoding="utf-8")
        _flush(temporary)
        _move_into_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return written


class Shaped(Protocol):
    """A tensor, or what a header says of one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its dimensions."""
        ...


def weights_problem(expected: Mapping[str, Shaped], state: Mapping[str, Shaped]) -> str | None:
    """Name the first way in which `state` does not fit a model with state `expected`, as a clause; None if it fits."""
    for name in sorted(expected):
        if name not in state:
            return f"the weight {name!r} is missing"
    for name in sorted(state):
        if name not in expected:
            return f"the weight {name!r} is not part of this architecture"
        if tuple(state[name].shape) != tuple(expected[name].shape):
            return f"the weight {name!r} has shape {list(state[name].shape)}, not {list(expected[name].shape)}"
    return None


def _save(state: StateDict, path: Path) -> None:
    try:
        save_file(state, path)
    except SafetensorError as error:  # a full disk comes as one
        raise CheckpointError(
            f"The weights cannot be written to {path.parent.parent} ({error}): free some space there."
        ) from error


def _require_finite(state: Mapping[str, torch.Tensor]) -> None:
    for name in sorted(state):
        if state[name].is_floating_point() and not bool(torch.isfinite(state[name]).all()):
            raise CheckpointError(f"The weight {name!r} holds NaN or infinite values; the checkpoint is unusable.")


def _for_storage(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(device="cpu", dtype=wanted).contiguous().clone()


def _flush(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _move_into_place(temporary: Path, folder: Path) -> None:
    """Rename; an old folder steps aside first, since a folder cannot be renamed onto a full one."""
    aside = temporary.with_name(temporary.name + ".old")
    if folder.exists():
        folder.rename(aside)
    temporary.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)
