"""Looking at a version where it lies: what is listed of it, and whether its files are still those that were added."""

from __future__ import annotations

from pathlib import Path

from streetvision.models.checks import CheckpointError
from streetvision.models.ensemble import is_ensemble, read_ensemble
from streetvision.models.folder import bundled_checkpoint, read_config
from streetvision.models.versions import (
    BUNDLED,
    ENTRY_FILE,
    EntryError,
    ModelVersion,
    RegistryEntry,
    content_hash,
    hash_files,
    read_entry,
)
from streetvision.registry.model_import import metrics_in


def bundled_version() -> ModelVersion:
    """The checkpoint of the package, which is always there."""
    folder = bundled_checkpoint()
    config = read_config(folder)
    return ModelVersion(
        BUNDLED,
        config.name,
        folder,
        config.sha256,
        "the package",
        "",
        True,
        None,
        config.created,
        metrics_in(config.card),
        config.card,
    )


def listed(folder: Path) -> ModelVersion:
    """A version as it is listed: a damaged one too, so that it can be seen and removed."""
    try:
        return read_entry(folder).at(folder)
    except EntryError as error:
        return ModelVersion(folder.name, folder.name, folder, "", "unknown", "", False, str(error).rstrip("."), "")


def member_versions(item: ModelVersion) -> tuple[str, ...]:
    """The versions that an ensemble names; none for a checkpoint, or for an ensemble that cannot be read."""
    if not is_ensemble(item.folder):
        return ()
    try:
        return tuple(member.version for member in read_ensemble(item.folder).members if member.version)
    except CheckpointError:
        return ()


def differences(folder: Path) -> list[str]:
    """What is on the disk otherwise than it was added, one sentence each; raises EntryError."""
    entry = read_entry(folder)
    files = hash_files(folder)
    problems = [f"{sentence}." for sentence in changes(entry, files)]
    if content_hash(entry.files) != entry.sha256:
        problems.append(f"The content hash in {ENTRY_FILE} does not belong to its list of files.")
    return problems


def changes(entry: RegistryEntry, files: dict[str, str]) -> list[str]:
    """Which files are not what the entry says, one clause each."""
    names = sorted(set(entry.files) | set(files))
    return [
        f"{name} is missing"
        if name not in files
        else f"{name} was not there when the model was added"
        if name not in entry.files
        else f"{name} has changed since the model was added"
        for name in names
        if files.get(name) != entry.files.get(name)
    ]
