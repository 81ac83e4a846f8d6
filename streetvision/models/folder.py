"""A checkpoint's folder: the names of its files, where the bundled one lies, and its description without its weights.

Needs no torch, so that commands which only list or name models start at once.
"""

from __future__ import annotations

from pathlib import Path

from streetvision.models.checks import CheckpointError
from streetvision.models.config import ModelConfig

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "model.json"
ENSEMBLE_FILE = "ensemble.json"
PICKLED = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz")
CONFIG_LIMIT_BYTES = 1 << 20
BUNDLED_FOLDER = Path(__file__).resolve().parent.parent / "assets" / "bundled"


def bundled_checkpoint() -> Path:
    """Folder of the checkpoint that ships with the package; raises CheckpointError where the installation lacks it."""
    if not (BUNDLED_FOLDER / CONFIG_FILE).is_file():
        raise CheckpointError(f"The bundled checkpoint is missing from {BUNDLED_FOLDER}; reinstall the package.")
    return BUNDLED_FOLDER


def is_bundled(folder: Path) -> bool:
    """Whether the checkpoint in `folder` is the package's own, which has no version of its own to an operator."""
    return folder.resolve() == BUNDLED_FOLDER


def read_config(folder: Path) -> ModelConfig:
    """The description alone, without touching the weights; raises CheckpointError."""
    return ModelConfig.from_json(read_description(folder, CONFIG_FILE))


def require_servable(folder: Path, config: ModelConfig) -> None:
    """Raises CheckpointError for a model that may not serve, as its description says."""
    if config.why_not_servable is not None:
        raise CheckpointError(f"The model in {folder} may not serve: {config.why_not_servable}.")


def require_weights(folder: Path) -> Path:
    """The weights' file; raises CheckpointError where there is none."""
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {WEIGHTS_FILE}.")
    return path


def require_described(folder: Path, config: ModelConfig, digest: str) -> None:
    """Raises CheckpointError where the weights' sha256 is not what the description names."""
    if digest != config.sha256:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} has sha256 {digest[:12]}… but {CONFIG_FILE} names {config.sha256[:12]}…: "
            "the files do not belong together or are damaged; fetch the checkpoint again."
        )


def read_description(folder: Path, name: str) -> str:
    """The text of a small UTF-8 file of the folder; raises CheckpointError, and names a pickled file that is there."""
    refuse_pickled(folder)
    path = folder / name
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder; a checkpoint is a folder with {WEIGHTS_FILE} and {CONFIG_FILE}."
        )
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {name}, so its weights cannot be interpreted.")
    if path.stat().st_size > CONFIG_LIMIT_BYTES:
        raise CheckpointError(f"{path} is larger than 1 MiB and so no model description.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not UTF-8 text.") from error


def refuse_pickled(path: Path) -> None:
    """Name the pickled file that an operator pointed at, alone or in place of safetensors."""
    candidates = [path] if path.is_file() else []
    if path.is_dir() and not (path / WEIGHTS_FILE).exists():
        candidates = sorted(path.iterdir())
    for candidate in candidates:
        if candidate.suffix in PICKLED:
            raise CheckpointError(
                f"{candidate.name} is a pickled file, which can run code when it is loaded; "
                f"only {WEIGHTS_FILE} is read, so convert it to safetensors first."
            )
