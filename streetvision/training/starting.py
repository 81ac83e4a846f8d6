"""The network that a run begins with, kept in the run's own folder so that resuming needs neither hub nor registry."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from streetvision.base.paths import expanded
from streetvision.errors import OperatorError
from streetvision.models.architectures import architecture_of
from streetvision.models.checkpoint import load_checkpoint, save_checkpoint, weights_problem
from streetvision.models.checks import CheckpointError
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.ensemble import is_ensemble
from streetvision.models.folder import read_config
from streetvision.models.heads import head_kind
from streetvision.models.network import StreetVisionNet, build
from streetvision.models.timm_backbone import Fetch, import_backbone, licence_of
from streetvision.models.versions import BUNDLED, ModelVersion, is_version
from streetvision.training.recipe import ACTIVE, FRESH, PRETRAINED, ModelRecipe, RecipeError

FindVersion = Callable[[str], ModelVersion]
"""Finds a version in the registry; raises OperatorError that says which ones there are."""
START_VERSION = "0.0.0"
BACKBONE = "backbone."
"""Before the names of a backbone's weights."""


@dataclass(frozen=True, slots=True)
class Origins:
    """Where weights may come from."""

    fetch: Fetch
    """From the hub."""
    find: FindVersion
    active: str | None
    """The version that serves; None where none was swapped in."""


def prepare_start(recipe: ModelRecipe, target: Path, origins: Origins, seed: int) -> str:
    """Write the network that the recipe names as a checkpoint into `target`; returns the licence of its weights.

    Its head is fresh unless a version's own is of the same kind. Raises OperatorError with one sentence.
    """
    state: dict[str, torch.Tensor] = {}
    if recipe.weights == FRESH:
        config, licence = _fresh(recipe), ""
    elif goes_on(recipe):
        config, state, licence = _from_version(recipe, origins)
    else:
        config, state, licence = _from_timm(recipe, origins)
    config = _shaped(config, recipe)
    torch.manual_seed(seed)
    net = build(config)
    kept = _fitting(net, _at_size(state, config))
    net.load_state_dict(kept, strict=False)
    save_checkpoint(target, config, net.state_dict(), overwrite=True)
    return licence


def goes_on(recipe: ModelRecipe) -> bool:
    """Whether training goes on from a model that is there, whose own architecture counts then."""
    return recipe.weights in (ACTIVE, BUNDLED) or is_version(recipe.weights)


def left_behind(recipe: ModelRecipe, origins: Origins) -> str:
    """How to keep the head and input size of the model that is gone on from; empty where the recipe keeps both."""
    if not goes_on(recipe):
        return ""
    config = read_config(_found(recipe, origins).folder)
    wanted = {"head": (config.head.kind, recipe.head), "input_size": (config.input_size, recipe.input_size)}
    lost = {key: theirs for key, (theirs, ours) in wanted.items() if theirs != ours}
    if not lost:
        return ""
    words = " and ".join(f"{key} {value}" for key, value in lost.items())
    keep = " ".join(f"--set model.{key}={value}" for key, value in lost.items())
    return f"{recipe.weights} has {words}, which this recipe leaves behind; to keep: {keep}"


def load_start(folder: Path) -> tuple[StreetVisionNet, ModelConfig]:
    """The network that a run begins with, float32 on the CPU; raises CheckpointError."""
    config, state = load_checkpoint(folder)
    net = build(config)
    net.load_state_dict(state)
    return net.float(), config


def _fresh(recipe: ModelRecipe) -> ModelConfig:
    return ModelConfig(recipe.name, START_VERSION, recipe.backbone.partition(".")[0], head=HeadConfig(embedding_dim=2))


def _from_version(recipe: ModelRecipe, origins: Origins) -> tuple[ModelConfig, dict[str, torch.Tensor], str]:
    config, state = load_checkpoint(_found(recipe, origins).folder)
    licence = config.card.get("licence")
    return config, state, licence if isinstance(licence, str) else ""


def _found(recipe: ModelRecipe, origins: Origins) -> ModelVersion:
    named = origins.active if recipe.weights == ACTIVE else recipe.weights
    if named is None:
        raise OperatorError("no version was swapped in, so model.weights = active names none: name a version instead")
    found = origins.find(named)
    if is_ensemble(found.folder):
        raise OperatorError(f"model version {named} is an ensemble: train one of its members instead")
    return found


def _from_timm(recipe: ModelRecipe, origins: Origins) -> tuple[ModelConfig, dict[str, torch.Tensor], str]:
    file = None if recipe.weights == PRETRAINED else expanded(recipe.weights)
    if file is not None and not file.is_file():
        raise RecipeError(
            f"model.weights must be {PRETRAINED}, {ACTIVE}, {FRESH}, {BUNDLED}, a version or a safetensors file, and "
            f"there is no file {recipe.weights!r:.200}"
        )
    with tempfile.TemporaryDirectory(prefix="streetvision-") as place:
        folder = Path(place) / "backbone"
        import_backbone(recipe.backbone, folder, version=START_VERSION, fetch=origins.fetch, file=file)
        config, state = load_checkpoint(folder)
    backbone = {name: value for name, value in state.items() if name.startswith(BACKBONE)}
    return config, backbone, licence_of(recipe.backbone)


def _shaped(config: ModelConfig, recipe: ModelRecipe) -> ModelConfig:
    """With the recipe's head, size and name; training sees pictures squashed, so service shall too."""
    backbone = architecture_of(config.architecture)
    with torch.device("meta"):
        created: Any = backbone.create(config.architecture, config.architecture_kwargs, input_size=config.input_size)
    return replace(
        config,
        name=recipe.name,
        version=START_VERSION,
        input_size=recipe.input_size,
        resize="squash",
        head=_head(recipe.head, config, created.num_features),
        temperature=1.0,
        threshold=0.5,
        card={"untrained": True, "what": "Where a training began."},
    )


def _at_size(state: dict[str, torch.Tensor], config: ModelConfig) -> dict[str, torch.Tensor]:
    """With the backbone's weights for the size of the training's pictures."""
    before = {name.removeprefix(BACKBONE): value for name, value in state.items() if name.startswith(BACKBONE)}
    known = architecture_of(config.architecture)
    after = known.at_size(before, config.architecture, input_size=config.input_size)
    return {**state, **{f"{BACKBONE}{name}": value for name, value in after.items()}}


def _head(kind: str, config: ModelConfig, width: int) -> HeadConfig:
    return replace(config.head, kind=kind, embedding_dim=head_kind(kind).embedding_dim(width), classes=1, positive=(0,))


def _fitting(net: StreetVisionNet, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights that the network takes: all of the backbone, and the head's where they are of the same kind."""
    expected = net.state_dict()
    backbone = {name: value for name, value in expected.items() if name.startswith(BACKBONE)}
    given = {name: value for name, value in state.items() if name.startswith(BACKBONE)}
    problem = weights_problem(backbone, given) if state else None
    if problem is not None:
        raise CheckpointError(f"The weights do not fit an input of {net.input_size} pixels: {problem}.")
    head = {name: value for name, value in state.items() if not name.startswith(BACKBONE)}
    fits = {name: tuple(value.shape) for name, value in head.items()} == {
        name: tuple(value.shape) for name, value in expected.items() if not name.startswith(BACKBONE)
    }
    return given | (head if fits else {})
