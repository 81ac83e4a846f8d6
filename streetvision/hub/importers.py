"""Everything that can become a version, told apart by how it is written.

A folder, `hf:owner/name@tag`, `timm:TAG`, or `siglip2:TAG` with prompts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streetvision.base.disk import exclusive
from streetvision.base.paths import expanded
from streetvision.hub.classifiers import add_classifier
from streetvision.hub.files import HUB
from streetvision.hub.siglip import SIGLIP2, PromptWishes, add_siglip
from streetvision.models.checks import CheckpointError
from streetvision.models.folder import CONFIG_FILE, ENSEMBLE_FILE, WEIGHTS_FILE
from streetvision.models.versions import ModelVersion, is_version
from streetvision.registry.model_import import ImportProgress, no_progress
from streetvision.registry.registry import Registry
from streetvision.subnet import PAY_WINDOW, PayWindow

if TYPE_CHECKING:
    from streetvision.hub.client import Hub

TIMM = "timm:"
TRANSFORMERS_CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What goes with a source."""

    version: str | None = None
    """Under which version to add it; None: its own."""
    positive: Sequence[str] = ()
    """A transformers classifier's labels that mean roadwork; empty: found by their words."""
    weights: Path | None = None
    """A safetensors file for a timm tag, instead of the hub."""
    prompted: PromptWishes | None = None
    """For a siglip2: tag; None: the package's prompts, not calibrated."""
    progress: ImportProgress = no_progress
    warn: Callable[[str], None] = lambda _: None
    hub: Hub | None = None
    """Default: the one that HF_ENDPOINT names."""
    window: PayWindow = PAY_WINDOW
    """For how long the subnet pays for a model."""


def add_model(source: str, registry: Registry, wishes: Wishes = Wishes()) -> ModelVersion:  # frozen
    """Add what `source` names to the registry; raises OperatorError with one sentence when that cannot be."""
    if source.startswith(TIMM):
        return _add_timm(source, registry, wishes)
    if source.startswith(SIGLIP2):
        return _add_siglip(source, registry, wishes)
    if wishes.prompted is not None:
        raise CheckpointError("--prompts and --calibrate belong to a siglip2: tag; other models bring their own head.")
    if wishes.weights is not None:
        raise CheckpointError("--weights belongs to a timm: tag; a folder brings its own.")
    if source.startswith((HUB, "https://", "http://")):
        return _add_hub(source, registry, wishes)
    folder, version, progress = expanded(source), wishes.version, wishes.progress
    named = str(folder.resolve())
    if _is_transformers(folder):
        return add_classifier(
            folder, registry, source=named, version=version, positive=wishes.positive, progress=progress
        )
    if wishes.positive:
        raise CheckpointError("--positive belongs to a transformers classifier; a checkpoint knows its answer.")
    return registry.add_folder(folder, source=named, version=version, progress=progress)


def _add_timm(source: str, registry: Registry, wishes: Wishes) -> ModelVersion:
    from streetvision.models.timm_backbone import default_version, import_backbone

    tag = source.removeprefix(TIMM)
    named = wishes.version or default_version(tag)
    if not is_version(named):
        raise CheckpointError(f"{tag!r:.100} is no timm model; write timm:vit_small_patch16_dinov3.lvd1689m, say.")
    place = registry.folder / "pulls" / "timm"

    def fill(target: Path) -> None:
        import_backbone(tag, target, version=named, fetch=fetch, file=wishes.weights)

    def fetch(repo: str) -> Path:
        from streetvision.hub.files import RepoRef
        from streetvision.hub.pull import fetch as fetch_files

        return fetch_files(RepoRef(repo), place, progress=wishes.progress, hub=wishes.hub).folder / WEIGHTS_FILE

    with exclusive(place):
        added = registry.add(fill, source, version=named, progress=wishes.progress)
        shutil.rmtree(place)
    return added


def _add_siglip(source: str, registry: Registry, wishes: Wishes) -> ModelVersion:
    if wishes.weights is not None or wishes.positive:
        raise CheckpointError("--weights and --positive do not belong to a siglip2: tag; a folder is siglip2:FOLDER.")
    prompted = wishes.prompted or PromptWishes()
    return add_siglip(source, registry, prompted, version=wishes.version, progress=wishes.progress, hub=wishes.hub)


def _add_hub(source: str, registry: Registry, wishes: Wishes) -> ModelVersion:
    from streetvision.hub.files import parse_ref
    from streetvision.hub.pull import pull

    ref = parse_ref(source)
    return pull(
        ref.repo,
        ref.revision,
        registry,
        version=wishes.version,
        positive=wishes.positive,
        progress=wishes.progress,
        warn=wishes.warn,
        hub=wishes.hub,
        window=wishes.window,
    )


def _is_transformers(folder: Path) -> bool:
    ours = any((folder / name).exists() for name in (CONFIG_FILE, ENSEMBLE_FILE))
    return not ours and (folder / TRANSFORMERS_CONFIG).is_file()
