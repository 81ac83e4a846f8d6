"""From a run's best weights to a version that serves: merged, calibrated, described, checked, added whole."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from streetvision.errors import OperatorError
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.config import ModelConfig
from streetvision.models.versions import ModelVersion, is_version, version_order
from streetvision.registry.model_import import ImportProgress, no_progress
from streetvision.registry.registry import Registry
from streetvision.training.judging import calibrated, calibration_of, figures_of
from streetvision.training.keeping import read_best
from streetvision.training.pictures import set_name
from streetvision.training.recipe import ModelRecipe, Recipe
from streetvision.training.recipe_file import to_toml
from streetvision.training.run_folder import DONE, RunFolder, RunRecord
from streetvision.training.starting import goes_on, load_start
from streetvision.training.tuning import choose_weights, merge_lora

CANDIDATE = "0.0.0-candidate"
"""Version of a model that is not in the registry yet."""


def finish(run: RunFolder, registry: Registry, *, created: str, progress: ImportProgress = no_progress) -> ModelVersion:
    """Add the best weights of a run to the registry as a version; raises OperatorError and then adds nothing."""
    version = run.record().version or next_version(known.version for known in registry.versions())
    model = write_model(run, version, created=created)
    added = registry.add_folder(model, source=source_of(run), version=version, progress=progress)
    run.update(state=DONE, version=added.version, problem="")
    return added


def write_model(run: RunFolder, version: str, *, created: str) -> Path:
    """The best weights until now as a checkpoint in the run's folder, merged, calibrated, described; OperatorError."""
    recipe, record = run.recipe(), run.record()
    weights, judged = read_best(run.best)
    net, config = load_start(run.start)
    choose_weights(net, recipe.tune)
    net.load_state_dict(weights, strict=False)
    merge_lora(net)
    calibration = calibration_of(judged)
    figures = figures_of(calibrated(judged, calibration))
    described = replace(
        config,
        version=version,
        created=created,
        temperature=calibration.temperature,
        threshold=calibration.threshold,
        card=card_of(run, record, config, figures),
    )
    save_checkpoint(run.model, described, net.state_dict(), overwrite=True)
    return run.model


def added_before(run: RunFolder, registry: Registry) -> ModelVersion | None:
    """What a run became that was killed before it could note so; then it is noted."""
    added = next((known for known in registry.versions() if known.source == source_of(run)), None)
    if added is not None:
        run.update(state=DONE, version=added.version, problem="")
    return added


def source_of(run: RunFolder) -> str:
    """As the registry notes it."""
    return f"training:{run.name}"


def require_free(registry: Registry, version: str) -> None:
    """OperatorError when a model has the version already, before hours are spent on one that cannot go in."""
    if any(known.version == version for known in registry.versions()):
        raise OperatorError(f"model version {version} exists already: name another one with --version")


def card_of(run: RunFolder, record: RunRecord, config: ModelConfig, figures: dict[str, float]) -> dict[str, Any]:
    """What the version says of itself: figures, data, recipe, where its weights came from."""
    recipe, named = published(run.recipe()), Path(record.recipe).name
    sets = ", ".join(map(set_name, record.sets))
    return {
        "what": f"{config.architecture} at {config.input_size} pixels, trained on {sets}; recipe {named}.",
        "metrics": figures | {"judged_on": f"val of {sets}"},
        "calibration": {"on": "val", "pictures": record.data["val"]["pictures"]},
        "data": dict(record.data),
        "recipe": tomllib.loads(to_toml(recipe)),
        "backbone": backbone_of(recipe.model, config.architecture),
        "licence": record.licence,
        "training": {
            "run": run.name,
            "steps": record.step,
            "seconds": round(record.seconds, 1),
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
        },
    }


def published(recipe: Recipe) -> Recipe:
    """The recipe as a card may show it: of files on this machine only the names."""
    weights, sets = recipe.model.weights, tuple(map(set_name, recipe.data.sets))
    model, data = replace(recipe.model, weights=Path(weights).name or weights), replace(recipe.data, sets=sets)
    return replace(recipe, model=model, data=data)


def backbone_of(recipe: ModelRecipe, architecture: str) -> str:
    """Where the backbone's weights came from; a model that was gone on from has its own architecture."""
    return f"{architecture if goes_on(recipe) else recipe.backbone} ({recipe.weights})"


def next_version(known: Iterable[str]) -> str:
    """The minor version after the highest release that there is; 0.1.0 for the first."""
    releases = [version_order(version)[:2] for version in known if is_version(version) and "-" not in version]
    major, minor = max(releases, default=(0, 0))
    return f"{major}.{minor + 1}.0"
