"""Which model a starting miner serves: what --model names, or the version that it was swapped to since."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from streetvision.config import Settings
from streetvision.errors import ConfigError
from streetvision.models.intake import describe
from streetvision.models.registry import REGISTRY_FOLDER, Registry
from streetvision.models.versions import ModelVersion
from streetvision.parts import choose_checkpoint
from streetvision.rollout.served import unregistered


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model to begin with."""

    registry: Registry
    start: ModelVersion
    named: ModelVersion | None
    """What --model stands for, so that a rollback can return to it; None where it stands for nothing."""


def choose_model(settings: Settings) -> ModelChoice:
    """The registry's pointer wins while --model is what it was at the swap; OperatorError with one sentence."""
    registry = Registry(settings.state_dir / REGISTRY_FOLDER)
    steps = registry.steps()
    pointer = steps[-1] if steps else None
    if pointer is None or pointer.version is None:
        named = _named(settings, registry)
        return ModelChoice(registry, named, named)
    if pointer.over != settings.model:
        logger.info("model: --model is another than at the swap to {}, so it wins", pointer.version)
        named = _named(settings, registry)
        return ModelChoice(registry, named, named)
    logger.info("model: {} serves since {} ({}), as --model is unchanged", pointer.version, pointer.at, pointer.why)
    return ModelChoice(registry, registry.servable(pointer.version), _named_if_any(settings, registry))


def _named_if_any(settings: Settings, registry: Registry) -> ModelVersion | None:
    """What --model names need not be there any more when another version serves."""
    try:
        return _named(settings, registry)
    except ConfigError:
        return None


def _named(settings: Settings, registry: Registry) -> ModelVersion:
    folder = choose_checkpoint(settings)
    for version in registry.versions():
        if version.folder == folder:
            return registry.servable(version.version)
    return _outside(folder)


def _outside(folder: Path) -> ModelVersion:
    described = describe(folder, None)
    return unregistered(folder, described.version, described.name, "")
