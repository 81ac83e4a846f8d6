"""A model version and the lane that it runs in, and what is kept about each of the two that matter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streetvision.models.versions import ModelVersion

if TYPE_CHECKING:
    from streetvision.engine.lanes import Lane
    from streetvision.engine.types import Role
    from streetvision.rollout.report import Report


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model."""

    model: ModelVersion
    lane: Lane

    @property
    def version(self) -> str:
        """Its name in the registry, which differs from what the lane says for the bundled one."""
        return self.model.version


@dataclass(frozen=True, slots=True)
class Standby:
    """The former active model, still loaded, so that going back takes no time."""

    served: Served
    until: float
    """On the manager's clock; then its memory is freed."""


@dataclass(slots=True)
class Candidate:
    """The one model that is tried beside the active one."""

    served: Served
    role: Role
    share: float
    report: Report
    passed: bool = False
    """Whether its gates have passed; written down once. A canary is promoted then, a shadow goes on."""


def unregistered(folder: Path, version: str, name: str, sha256: str) -> ModelVersion:
    """A checkpoint folder outside the registry that --model names, so that it can be gone back to."""
    return ModelVersion(
        version=version,
        name=name,
        folder=folder,
        sha256=sha256,
        source=str(folder),
        added="",
        servable=True,
        why_not=None,
        created="",
    )
