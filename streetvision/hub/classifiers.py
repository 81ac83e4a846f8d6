"""A transformers ViT image classifier on its way into the registry: converted, and named after where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streetvision.hub.files import HUB
from streetvision.models.checks import CheckpointError, load_json
from streetvision.models.versions import ModelVersion, is_version
from streetvision.registry.model_import import ImportProgress, copy_extras, no_progress
from streetvision.registry.registry import Registry

FIRST_VERSION = "1.0.0"
"""Of a converted model that says nothing of its version."""


def add_classifier(
    folder: Path,
    registry: Registry,
    *,
    source: str,
    version: str | None = None,
    positive: Sequence[str] = (),
    progress: ImportProgress = no_progress,
) -> ModelVersion:
    """Convert a transformers ViT classifier and add it; its version: the given one, its card's, or 1.0.0."""
    from streetvision.models.transformers_vit import convert

    named = version or _card_version(folder) or FIRST_VERSION
    name = _name(source)
    made_from = source if source.startswith(HUB) else name  # a card is published: no path of this machine

    def fill(target: Path) -> None:
        progress("converting", 0, 0)
        convert(folder, target, name=name, version=named, positive=positive, made_from=made_from)
        copy_extras(folder, target)

    return registry.add(fill, source, version=named, progress=progress)


def _name(source: str) -> str:
    """What to call a converted model: owner/name of a repository, else its folder's name."""
    if source.startswith(HUB):
        return source.removeprefix(HUB).partition("@")[0]
    return Path(source).name[:200] or "converted"


def _card_version(folder: Path) -> str | None:
    """The version in a model card beside the weights, if there is a usable one."""
    from streetvision.hub.card import CARD_FILE, CARD_LIMIT_BYTES

    path = folder / CARD_FILE
    if not path.is_file() or path.stat().st_size > CARD_LIMIT_BYTES:
        return None
    try:
        card = load_json(CARD_FILE, path.read_text(encoding="utf-8", errors="replace"))
    except CheckpointError:
        return None
    version = card.get("version") if isinstance(card, dict) else None
    return version if isinstance(version, str) and is_version(version) else None
