"""Put the candidate into the registry, as the next version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streetvision.registry.registry import open_registry
from streetvision.retrain.child import Tell
from streetvision.training.finishing import added_before, finish
from streetvision.training.run_folder import find_run


def run(request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]) -> dict[str, Any]:
    """The version that the training `training` became; the same one when it is asked for again."""
    state = Path(request["state_dir"])
    registry = open_registry(state)
    training = find_run(state, request["training"])
    added = added_before(training, registry) or finish(training, registry, created=request["now"])
    return {"version": added.version, "servable": added.servable, "why_not": added.why_not or ""}
