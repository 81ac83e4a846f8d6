"""The registry: model versions on disk, and the pointer to the one that serves.

    <state_dir>/models/
        versions/<version>/   the model's files, golden.json, and entry.json: what it is, its files' hashes
        active.json           the pointer and its short history
        .lock, .incoming-*    the lock of short changes, and folders that are being filled

A version's folder appears by one rename when everything in it is checked and flushed, and never changes afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from streetvision.base.disk import discard, exclusive, sentences, staging, sync_folder, sync_tree
from streetvision.errors import OperatorError
from streetvision.models.checks import CheckpointError
from streetvision.models.ensemble import Resolve, is_ensemble, member_configs, read_ensemble
from streetvision.models.versions import (
    BUNDLED,
    ENTRY_FILE,
    ModelVersion,
    RegistryEntry,
    content_hash,
    hash_files,
    is_version,
    read_entry,
    version_order,
)
from streetvision.registry.listing import bundled_version, changes, differences, listed, member_versions
from streetvision.registry.model_import import (
    Findings,
    ImportProgress,
    copy_model,
    describe,
    examine,
    no_progress,
    rename_version,
)
from streetvision.registry.pointer import PointerStep, last_good, read_steps, write_steps

REGISTRY_FOLDER = "models"
"""Name of the registry in the state folder."""
POINTER_FILE = "active.json"


class Registry:
    """Model versions below one folder. Every method may be called from several processes at once.

    Whatever is changed is looked at again under the lock: what was true before it need not be true any more.

    Methods raise OperatorError with one sentence: an unknown version, a model that does not fit, a full disk.
    """

    def __init__(
        self,
        folder: Path,
        *,
        now: Callable[[], float] = time.time,
        examine: Callable[[Path, Resolve, ImportProgress], Findings] = examine,
    ) -> None:
        """`examine` loads a model on the CPU and answers the golden images; tests may pass a cheaper one."""
        self.folder = folder
        self._versions = folder / "versions"
        self._pointer = folder / POINTER_FILE
        self._now = now
        self._examine = examine

    def versions(self) -> tuple[ModelVersion, ...]:
        """All versions by semantic version, the bundled one first; a damaged one is listed as not servable."""
        found = [path for path in self._versions.iterdir() if path.is_dir()] if self._versions.is_dir() else []
        named = sorted((path for path in found if is_version(path.name)), key=lambda path: version_order(path.name))
        return (bundled_version(), *(listed(path) for path in named))

    def get(self, version: str) -> ModelVersion:
        """The version of that name; OperatorError that says which ones there are."""
        if version == BUNDLED:
            return bundled_version()
        folder = self._versions / version
        if is_version(version) and folder.is_dir():
            return listed(folder)
        there = ", ".join(item.version for item in self.versions())
        raise OperatorError(f"There is no model version {version!r} in {self.folder}; there are: {there}.")

    def holds(self, model: ModelVersion) -> bool:
        """Whether a restart can find it by its version: the bundled one, or one that was put here, removed or not."""
        return model.version == BUNDLED or model.folder.parent == self._versions

    def servable(self, version: str) -> ModelVersion:
        """The version, if it may serve and its files have the hashes they were added with; OperatorError otherwise.

        Versions that an ensemble names are held to the same.
        """
        found = self.get(version)
        if not found.servable:
            raise OperatorError(f"Model version {version} may not serve: {found.why_not}.")
        if version != BUNDLED:
            with sentences(f"Reading model version {version}"):
                changed = changes(read_entry(found.folder), hash_files(found.folder))
            if changed:
                raise OperatorError(
                    f"Model version {version} is damaged ({changed[0]}): remove it with `streetvision models rm "
                    f"{version}` and add it again."
                )
        for member in member_versions(found):
            self.servable(member)
        return found

    def add_folder(
        self, path: Path, *, source: str, version: str | None = None, progress: ImportProgress = no_progress
    ) -> ModelVersion:
        """Copy a checkpoint or ensemble folder in, once it loads and answers; returns its version.

        `version` renames it; None keeps its own. The same content under the same version is no error. Nothing of a
        folder that is refused stays behind.
        """
        return self.add(lambda target: copy_model(path, target, progress), source, version=version, progress=progress)

    def add(
        self,
        fill: Callable[[Path], None],
        source: str,
        *,
        version: str | None = None,
        progress: ImportProgress = no_progress,
    ) -> ModelVersion:
        """As `add_folder`, for a model that `fill` writes into the empty folder it is given."""
        with sentences("Adding the model"), staging(self.folder) as place:
            target = place / "model"
            target.mkdir()
            fill(target)
            with _named(target, source):
                entry = self._checked(target, source, version, progress)
            progress("storing", 0, 0)
            sync_tree(target)
            with exclusive(self.folder):
                return self._place(target, entry)

    def remove(self, version: str) -> None:
        """Delete a version; refused for the active one, the last good one and the bundled one."""
        with sentences("Removing the model"), exclusive(self.folder):
            found = self.get(version)
            if version == BUNDLED:
                raise OperatorError("The bundled model is part of the package and cannot be removed.")
            if version == self.active():
                raise OperatorError(
                    f"Model version {version} is the active one: swap to another one before you remove it."
                )
            if version == self.previous():
                raise OperatorError(
                    f"Model version {version} is the last good one, which a rollback brings back: "
                    "it can go after another swap."
                )
            users = [item.version for item in self.versions() if version in member_versions(item)]
            if users:
                raise OperatorError(
                    f"Model version {version} is a member of the ensemble {users[0]}: remove that first."
                )
            discard(found.folder)

    def verify(self, version: str, *, progress: ImportProgress = no_progress) -> list[str]:
        """What is wrong with a version, one sentence each: files are hashed again and the model loads and answers."""
        found = self.get(version)
        try:
            with sentences(f"Reading model version {version}"):
                problems = [] if version == BUNDLED else differences(found.folder)
                findings = self._examine(found.folder, self._folder_of, progress)
            if findings.why_not is not None and found.servable:
                problems.append(f"It may not serve: {findings.why_not}.")
        except OperatorError as error:
            return [str(error)]
        return problems

    def steps(self) -> tuple[PointerStep, ...]:
        """The pointer's short history, oldest first; the last one is in force."""
        return read_steps(self._pointer)

    def active(self) -> str | None:
        """The version that the pointer names; None where --model rules."""
        steps = self.steps()
        return steps[-1].version if steps else None

    def previous(self) -> str | None:
        """The last good version before the active one; None: none, or what --model names (see `steps`)."""
        step = last_good(self.steps())
        return None if step is None else step.version

    def activate(self, version: str, *, over: str, why: str, rollback: bool = False) -> None:
        """Point at a version, durably; `over` is the value of --model now, `why` one short clause for people.

        `rollback` marks the version that is left as failed: it is no longer a last good one.
        """
        self._move(version, over=over, why=why, rollback=rollback)

    def release(self, *, over: str, why: str, rollback: bool = False) -> None:
        """Clear the pointer: what --model names serves again."""
        self._move(None, over=over, why=why, rollback=rollback)

    def _move(self, version: str | None, *, over: str, why: str, rollback: bool) -> None:
        with sentences("Moving the pointer to the active model"), exclusive(self.folder):
            if version is not None:
                self._require_there(version)
            at = _time(self._now())
            steps = self.steps() or (PointerStep(None, at, "start", over),)
            if rollback:
                steps = (*steps[:-1], replace(steps[-1], failed=True))
            write_steps(self._pointer, (*steps, PointerStep(version, at, why, over)))

    def _require_there(self, version: str) -> None:
        """The version and what it names are here and may serve, while the lock keeps them here."""
        found = self.get(version)
        if not found.servable:
            raise OperatorError(f"Model version {version} may not serve: {found.why_not}.")
        self._require_members(found.folder)

    def _require_members(self, folder: Path) -> None:
        """What an ensemble names is here, with the weights that it was made with; CheckpointError otherwise."""
        if is_ensemble(folder):
            member_configs(folder, read_ensemble(folder), self._folder_of)

    def _folder_of(self, version: str) -> Path:
        return self.get(version).folder

    def _checked(self, target: Path, source: str, version: str | None, progress: ImportProgress) -> RegistryEntry:
        """Load and try the model, write what the registry keeps beside it, and return its entry."""
        if version is not None:
            rename_version(target, version)
        described = describe(target)
        findings = self._examine(target, self._folder_of, progress)
        findings.write_golden(target)
        files = hash_files(target)
        entry = RegistryEntry(
            version=described.version,
            name=described.name,
            kind=described.kind,
            source=source,
            added=_time(self._now()),
            created=described.created,
            sha256=content_hash(files),
            files=files,
            servable=findings.why_not is None,
            why_not=findings.why_not,
            metrics=dict(described.metrics),
            card=dict(described.card),
        )
        (target / ENTRY_FILE).write_text(entry.to_json(), encoding="utf-8")
        return entry

    def _place(self, target: Path, entry: RegistryEntry) -> ModelVersion:
        """Rename into place, unless this version is there already."""
        home = self._versions / entry.version
        if home.exists():
            there = listed(home)
            if there.sha256 == entry.sha256:
                return there
            raise OperatorError(
                f"Model version {entry.version} exists already with other content; add this one under another "
                f"version (--version), or remove that one first."
            )
        self._require_members(target)
        self._versions.mkdir(exist_ok=True)
        target.rename(home)
        sync_folder(self._versions)
        return entry.at(home)


def open_registry(state: Path) -> Registry:
    """The registry in the miner's state folder."""
    return Registry(state / REGISTRY_FOLDER)


@contextmanager
def _named(place: Path, source: str) -> Iterator[None]:
    """Let a sentence name the source that the operator knows, not the place where it is looked at."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(str(error).replace(str(place), source)) from error


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
