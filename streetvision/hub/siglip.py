"""A SigLIP 2 with prompts on its way into the registry: fetched or found in a folder, its head made of the prompts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from streetvision.base.disk import exclusive
from streetvision.base.paths import expanded
from streetvision.errors import OperatorError
from streetvision.hub.files import RepoRef
from streetvision.models.open_clip_files import is_open_clip, read_open_clip
from streetvision.models.prompts import Prompts, default_prompts
from streetvision.models.versions import ModelVersion, is_version
from streetvision.registry.model_import import ImportProgress, no_progress
from streetvision.registry.registry import Registry

if TYPE_CHECKING:
    from streetvision.hub.client import Hub

SIGLIP2 = "siglip2:"
EXAMPLE = "siglip2:ViT-B-16-SigLIP2"
FIRST_VERSION = "0.1.0"
_TAG = re.compile(r"ViT-[A-Za-z0-9]{1,12}-[0-9]{2}-SigLIP2(-[0-9]{3})?")
_ODD = re.compile(r"[^0-9A-Za-z]+")
_OWNER = "timm"
"""Who keeps open_clip's SigLIP models on the hub."""


@dataclass(frozen=True, slots=True)
class PromptWishes:
    """What goes with a siglip2: source."""

    prompts: Prompts = field(default_factory=default_prompts)
    calibrate: Callable[[Path], None] = lambda _: None
    """Is given the folder of the checkpoint before it enters the registry, and may rewrite its description."""


def add_siglip(
    source: str,
    registry: Registry,
    wishes: PromptWishes,
    *,
    version: str | None = None,
    progress: ImportProgress = no_progress,
    hub: Hub | None = None,
) -> ModelVersion:
    """Add `siglip2:TAG` or `siglip2:FOLDER`; raises OperatorError with one sentence.

    What was fetched stays until the version is there, so that other prompts cost no second download.
    """
    named = source.removeprefix(SIGLIP2)
    folder = expanded(named)
    local = is_open_clip(folder)
    if not local and _TAG.fullmatch(named) is None:
        raise OperatorError(
            f"{source!r:.120} names no SigLIP 2: write {EXAMPLE}, say, or a folder with open_clip's files of one."
        )
    called = folder.resolve().name if local else named
    wanted = version or default_version(called)
    if not is_version(wanted):
        raise OperatorError(f"{wanted!r:.100} is no semantic version such as 1.0.0.")
    from streetvision.models.text_tower import require_extra

    require_extra()
    if local:
        return _add(folder, called, source, registry, wishes, wanted, progress)
    return _add_fetched(named, source, registry, wishes, wanted, progress, hub)


def default_version(name: str) -> str:
    """Before every release, and telling which model it is: 0.1.0-ViT-B-16-SigLIP2."""
    return f"{FIRST_VERSION}-{_ODD.sub('-', name).strip('-')[:60] or 'siglip2'}"


def _add_fetched(  # noqa: PLR0917  # as _add, and the hub
    tag: str,
    source: str,
    registry: Registry,
    wishes: PromptWishes,
    version: str,
    progress: ImportProgress,
    hub: Hub | None,
) -> ModelVersion:
    from streetvision.hub.pull import PULLS_FOLDER, fetch

    place = registry.folder / PULLS_FOLDER / f"{_OWNER}--{tag}"
    with exclusive(place, patience_s=0.0):
        fetched = fetch(RepoRef(f"{_OWNER}/{tag}"), place, progress=progress, hub=hub, open_clip=True)
        added = _add(fetched.folder, tag, source, registry, wishes, version, progress)
        shutil.rmtree(fetched.folder, ignore_errors=True)
    return added


def _add(  # noqa: PLR0917  # a model's files, and all that is wished of them
    folder: Path,
    name: str,
    source: str,
    registry: Registry,
    wishes: PromptWishes,
    version: str,
    progress: ImportProgress,
) -> ModelVersion:
    from streetvision.models.siglip_prompts import write_prompted

    files = read_open_clip(folder)

    def fill(target: Path) -> None:
        progress("embedding prompts", 0, 0)
        write_prompted(files, wishes.prompts, target, name=name[:200], version=version, made_from=name[:200])
        wishes.calibrate(target)

    return registry.add(fill, source, version=version, progress=progress)
