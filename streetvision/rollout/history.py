"""Which versions a rollback may go to: what served before and was never found bad, newest first."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from streetvision.errors import OperatorError
from streetvision.models.versions import ModelVersion
from streetvision.registry.pointer import PointerStep
from streetvision.registry.registry import Registry
from streetvision.rollout.blocklist import Blocklist

logger = logging.getLogger(__name__)


def same(one: ModelVersion, other: ModelVersion) -> bool:
    """Whether two are the same model, not only of the same name."""
    return one.version == other.version and one.sha256 == other.sha256


def ways_back(
    registry: Registry,
    blocklist: Blocklist,
    active: ModelVersion,
    *,
    standby: ModelVersion | None,
    named: ModelVersion | None,
    over: str,
) -> list[ModelVersion]:
    """Candidates for a rollback from `active`, best first: the one still loaded, then the pointer's history.

    `named` is what --model, whose value is `over`, stands for. Reads the disk.
    """
    found: list[ModelVersion] = []
    for model in ([standby] if standby else []) + list(_served_before(registry, named, over)):
        known = same(model, active) or any(same(model, other) for other in found)
        if not known and model.servable and blocklist.get(model.version, model.sha256) is None:
            found.append(model)
    return found


def _served_before(registry: Registry, named: ModelVersion | None, over: str) -> Iterator[ModelVersion]:
    try:
        steps = registry.steps()
    except OperatorError as error:
        logger.error("the history of versions cannot be read: %s", error)
        return
    for step in reversed(steps):
        model = _model_of(step, registry, named, over)
        if model is not None:
            yield model


def _model_of(step: PointerStep, registry: Registry, named: ModelVersion | None, over: str) -> ModelVersion | None:
    if step.version is None:
        return named if step.over == over else None
    try:
        return registry.get(step.version)
    except OperatorError:
        return None
