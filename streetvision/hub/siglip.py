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


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be added, under which name and version, and where."""

    source: str
    name: str
    version: str
    wishes: PromptWishes
    registry: Registry
    progress: ImportProgress


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

    What was fetched stays until the version is there, so that a prompt that is too long costs no second download.
    """
    named = source.removeprefix(SIGLIP2)
    folder = expanded(named)
    local = is_open_clip(folder)
    if not local and _TAG.fullmatch(named) is None:
        raise OperatorError(
            f"{source!r:.120} names no SigLIP 2: write {EXAMPLE}, say, or a folder with open_clip's files of one."
        )
    called = folder.resolve().name[:200] if local else named
    order = _Order(source, called, version or default_version(called), wishes, registry, progress)
    _check_version(order)
    from streetvision.models.text_tower import require_extra

    require_extra()
    return _add(folder, order) if local else _add_fetched(order, hub)


def default_version(name: str) -> str:
    """Before every release, and telling which model it is: 0.1.0-ViT-B-16-SigLIP2."""
    return f"{FIRST_VERSION}-{_ODD.sub('-', name).strip('-')[:60] or 'siglip2'}"


def _check_version(order: _Order) -> None:
    """Tell of a version that cannot be before anything large is fetched."""
    if not is_version(order.version):
        raise OperatorError(f"{order.version!r:.100} is no semantic version such as 1.0.0.")
    if order.version in [there.version for there in order.registry.versions()]:
        raise OperatorError(f"Model version {order.version} exists already: name another one with --version.")


def _add_fetched(order: _Order, hub: Hub | None) -> ModelVersion:
    from streetvision.hub.pull import PULLS_FOLDER, fetch

    place = order.registry.folder / PULLS_FOLDER / f"{_OWNER}--{order.name}"
    with exclusive(place, patience_s=0.0):
        ref = RepoRef(f"{_OWNER}/{order.name}")
        fetched = fetch(ref, place, progress=order.progress, hub=hub, open_clip=True)
        added = _add(fetched.folder, order)
        shutil.rmtree(fetched.folder, ignore_errors=True)
    return added


def _add(folder: Path, order: _Order) -> ModelVersion:
    from streetvision.models.siglip_prompts import write_prompted

    files = read_open_clip(folder)

    def fill(target: Path) -> None:
        order.progress("embedding prompts", 0, 0)
        prompts, name = order.wishes.prompts, order.name
        write_prompted(files, prompts, target, name=name, version=order.version, made_from=name)
        order.wishes.calibrate(target)

    return order.registry.add(fill, order.source, version=order.version, progress=order.progress)
