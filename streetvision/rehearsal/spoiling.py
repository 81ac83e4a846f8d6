"""A run whose training has a defect that retraining's own gates do not see: only the miner's can catch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from streetvision.miner.model_choice import serving_model
from streetvision.models.checkpoint import load_checkpoint, save_checkpoint
from streetvision.registry.registry import open_registry
from streetvision.retrain.running import Parts
from streetvision.retrain.step import Context, Output
from streetvision.retrain.steps.evaluate import AGAINST, AGAINST_FOLDER
from streetvision.retrain.steps.table import parts
from streetvision.retrain_log.records import StepName

VERSION = "99.0.0"
"""Of the spoiled model."""


def spoiled_parts() -> Parts:
    """As the operator's runs have them, but for a training that turns the model's answers round and blind gates."""
    whole = parts()
    steps: Mapping[StepName, Any] = {
        **whole.steps,
        StepName.TRAIN: _train,
        StepName.EVALUATE: _evaluate,
        StepName.PUBLISH: _publish,
    }
    return replace(whole, steps=steps)


def spoil(model: Path, target: Path) -> Path:
    """A copy of a model that says the contrary of what it should."""
    config, state = load_checkpoint(model)
    turned = {name: -value if name.startswith("head.fc.") else value for name, value in state.items()}
    save_checkpoint(target, replace(config, version=VERSION), turned, overwrite=True)
    return target


def _train(context: Context) -> Output:
    serving = serving_model(context.settings)
    return {"candidate": str(spoil(serving.folder, context.folder / "spoiled"))}


def _evaluate(context: Context) -> Output:
    serving = serving_model(context.settings)
    return {AGAINST: serving.version, AGAINST_FOLDER: str(serving.folder)}


def _publish(context: Context) -> Output:
    registry = open_registry(context.settings.state_dir)
    added = registry.add_folder(Path(context.outputs[StepName.TRAIN]["candidate"]), source="a rehearsal")
    return {"version": added.version}
