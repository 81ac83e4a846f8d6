"""The files of a version as they go up: a model's own, each hashed, an ensemble with all its members inside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from streetvision.base.disk import sentences
from streetvision.errors import OperatorError
from streetvision.hub.files import LICENSE_FILE, is_ours
from streetvision.models.config import ModelConfig
from streetvision.models.ensemble import (
    EnsembleConfig,
    Member,
    is_ensemble,
    member_folders,
    read_ensemble,
    sibling_versions,
)
from streetvision.models.folder import CONFIG_FILE, ENSEMBLE_FILE, WEIGHTS_FILE, read_config
from streetvision.models.router import ROUTER_FILE
from streetvision.models.versions import ModelVersion
from streetvision.registry.model_import import ImportProgress, no_progress

MEMBERS_FOLDER = "members"
_CHUNK = 8 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """One file that goes up."""

    path: str
    """In the repository."""
    content: Path | bytes
    size: int
    sha256: str

    @classmethod
    def of_text(cls, path: str, text: str) -> Upload:
        """A file that exists in memory alone."""
        data = text.encode()
        return cls(path, data, len(data), hashlib.sha256(data).hexdigest())


def gather(
    version: ModelVersion, find: Callable[[str], Path] | None = None, progress: ImportProgress = no_progress
) -> list[Upload]:
    """The model's files, with weights that are what their description says; OperatorError otherwise.

    Members that an ensemble borrows from the registry go along under `members/`: a repository must stand alone.
    """
    with sentences(f"Reading version {version.version}"):
        uploads = list(_files(version.folder, find, progress))
    for item in uploads:
        if not is_ours(item.path):
            raise OperatorError(
                f"{item.path} has a name that `models pull` does not fetch: rename the member's folder."
            )
    return uploads


def facts(folder: Path, find: Callable[[str], Path] | None = None) -> list[tuple[str, str]]:
    """What a model is made of, for its README: (name, value) of a checkpoint, or of each member and the views."""
    if not is_ensemble(folder):
        return _checkpoint_facts(read_config(folder))
    ensemble = read_ensemble(folder)
    folders = member_folders(folder, ensemble, find or sibling_versions(folder))
    rows = [("kind", f"ensemble of {len(folders)}, averaged as logits"), ("views", ", ".join(ensemble.views))]
    for member, path in zip(ensemble.members, folders, strict=True):
        config = read_config(path)
        rows.append((f"member {member}", f"{_network(config)}, weight {member.weight:g}"))
    if ensemble.router is not None:
        rows.append(("router", ensemble.router.words))
    return rows


def _checkpoint_facts(config: ModelConfig) -> list[tuple[str, str]]:
    return [
        ("network", _network(config)),
        ("preparation", f"{config.resize} to the input size, mean {config.mean}, deviation {config.std}"),
        ("calibration", f"temperature {config.temperature:.4g}, threshold {config.threshold:.4g} moved to 0.5"),
        ("made", config.created or "unknown"),
    ]


def _network(config: ModelConfig) -> str:
    changes = ", ".join(f"{name} {value}" for name, value in config.architecture_kwargs.items())
    return (
        f"{config.architecture}{f' ({changes})' if changes else ''} at {config.input_size} x {config.input_size} pixels"
    )


def _files(folder: Path, find: Callable[[str], Path] | None, progress: ImportProgress) -> Iterator[Upload]:
    license = folder / LICENSE_FILE
    if license.is_file():
        yield _from_disk(LICENSE_FILE, license, progress)
    if not is_ensemble(folder):
        yield from _checkpoint("", folder, progress)
        return
    ensemble = read_ensemble(folder)
    alone = _standing_alone(ensemble)
    yield Upload.of_text(ENSEMBLE_FILE, alone.to_json())
    if alone.router is not None and alone.router.sha256:
        yield _from_disk(ROUTER_FILE, folder / ROUTER_FILE, progress)
    for member, path in zip(
        alone.members, member_folders(folder, ensemble, find or sibling_versions(folder)), strict=True
    ):
        yield from _checkpoint(f"{member.folder.strip('/')}/", path, progress, member.sha256)


def _standing_alone(ensemble: EnsembleConfig) -> EnsembleConfig:
    return replace(ensemble, members=tuple(_own_folder(member) for member in ensemble.members))


def _own_folder(member: Member) -> Member:
    if not member.version:
        return member
    return replace(member, folder=f"{MEMBERS_FOLDER}/{member.version}", version="")


def _checkpoint(prefix: str, folder: Path, progress: ImportProgress, sha256: str | None = None) -> Iterator[Upload]:
    named = read_config(folder).sha256
    yield _from_disk(prefix + CONFIG_FILE, folder / CONFIG_FILE, progress)
    weights = _from_disk(prefix + WEIGHTS_FILE, folder / WEIGHTS_FILE, progress)
    if weights.sha256 != named or sha256 not in (None, named):
        raise OperatorError(f"{folder / WEIGHTS_FILE} is not what {CONFIG_FILE} describes: it is not published.")
    yield weights


def _from_disk(name: str, path: Path, progress: ImportProgress) -> Upload:
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress("hashing", done, size)
    return Upload(name, path, size, digest.hexdigest())
