"""Publish a version in the hotkey's name: a public repository with the model, the subnet's card, a README and a tag."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from streetvision.errors import OperatorError
from streetvision.hub.card import (
    CARD_FILE,
    CARD_LIMIT_BYTES,
    DAY_S,
    card_text,
    is_plain_version,
    model_card,
    parse_card,
)
from streetvision.hub.client import Hub, RepoState
from streetvision.hub.errors import LOGIN
from streetvision.hub.files import LICENSE_FILE, README_FILE, RepoRef, check_repo, is_ours
from streetvision.hub.readme import readme
from streetvision.hub.upload import Upload, facts, gather
from streetvision.models.versions import BUNDLED, ModelVersion
from streetvision.registry.model_import import ImportProgress, no_progress
from streetvision.subnet import PAY_WINDOW, PayWindow

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file that goes, or would go, up."""

    path: str
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """What publishing does, or would do."""

    repo: str
    version: str
    tag: str
    creates: bool | None
    """Whether the repository is new; None when the hub could not be asked."""
    files: tuple[PlannedFile, ...]
    removes: tuple[str, ...]
    """Files of an earlier version that this one does not have."""
    card: dict[str, Any]
    readme: str
    notes: tuple[str, ...]
    """Warnings, as sentences without a full stop."""
    commit: str | None = None
    """The commit that was made; None in a dry run."""
    url: str = ""

    @property
    def total_bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "total_bytes": self.total_bytes, "dry_run": self.commit is None}


@dataclass(frozen=True, slots=True)
class _Look:
    """What the hub said about the repository."""

    reached: bool
    state: RepoState | None
    """None where there is no repository, or it could not be asked."""
    notes: tuple[str, ...]


def publish(
    version: ModelVersion,
    repo: str,
    *,
    hotkey: str,
    description: str = "",
    dry_run: bool = True,
    license: str | None = None,
    find: Callable[[str], Path] | None = None,
    progress: ImportProgress = no_progress,
    hub: Hub | None = None,
    now: Callable[[], float] = time.time,
    window: PayWindow = PAY_WINDOW,
) -> PublishPlan:
    """Upload a version to owner/name with the tag vX.Y.Z; a dry run only says what would go, and asks the hub to look.

    `hotkey` (ss58) is written into the card; an empty description is taken from the version's own card; `license` is an
    identifier as the hub knows them; `find` gives the folder of a registry version that an ensemble names as a member.
    A tag is never overwritten. Raises OperatorError.
    """
    check_repo(repo)
    _require_publishable(version, license)
    hub, moment = hub or Hub(), now()
    card = model_card(
        version.name, version.version, description or _own_description(version), hotkey=hotkey, submitted=moment
    )
    uploads = gather(version, find, progress)
    look = _look(hub, repo, f"v{version.version}", hotkey, dry_run)
    page = readme(
        card,
        repo=repo,
        about=version.card,
        metrics=version.metrics,
        facts=facts(version.folder, find),
        files=[(item.path, item.size, item.sha256) for item in uploads],
        license=license,
    )
    uploads += [Upload.of_text(CARD_FILE, card_text(card)), Upload.of_text(README_FILE, page)]
    notes = (*look.notes, *_age_note(version, moment, window))
    plan = PublishPlan(
        repo,
        version.version,
        f"v{version.version}",
        look.state is None if look.reached else None,
        tuple(PlannedFile(item.path, item.size, item.sha256) for item in uploads),
        _left_over(look.state, uploads),
        card,
        page,
        notes,
    )
    return plan if dry_run else _carry_out(hub, plan, uploads, progress)


def _require_publishable(version: ModelVersion, license: str | None) -> None:
    if version.version == BUNDLED:
        raise OperatorError(
            "The bundled model has never seen real roadwork: publish a version that was trained on photos."
        )
    if not version.servable:
        raise OperatorError(
            f"Model version {version.version} may not serve, so it is not published: {version.why_not}."
        )
    if not is_plain_version(version.version):
        raise OperatorError(
            f"Version {version.version} is not X.Y.Z, which is all that the subnet's card allows: add the model again "
            "with `streetvision models add FOLDER --version X.Y.Z`."
        )
    if license is not None and _LICENSE.fullmatch(license) is None:
        raise OperatorError(f"{license!r:.80} is no licence identifier: write one such as mit, apache-2.0 or other.")


def _own_description(version: ModelVersion) -> str:
    for key in ("description", "what"):
        text = version.card.get(key)
        if isinstance(text, str) and text.strip():
            return text.strip()
    raise OperatorError(f"The card of version {version.version} describes nothing: say what it is with --description.")


def _look(hub: Hub, repo: str, tag: str, hotkey: str, dry_run: bool) -> _Look:
    """See whether the repository is there and the tag is free; a dry run goes on where the hub cannot be reached."""
    notes = []
    if not hub.has_token():
        if not dry_run:
            raise OperatorError(f"Publishing needs a Hugging Face token with write access: {LOGIN}.")
        notes.append(f"there is no Hugging Face token yet: {LOGIN}")
    try:
        state = hub.find(RepoRef(repo))
        tagged = state is not None and hub.find(RepoRef(repo, tag)) is not None
    except OperatorError as error:
        if not dry_run:
            raise
        return _Look(False, None, (*notes, f"the repository could not be looked at: {str(error).rstrip('.')}"))
    if tagged:
        raise OperatorError(f"{repo} has a tag {tag} already, and a tag is never overwritten: publish another version.")
    if state is not None:
        notes += _repo_notes(hub, repo, state, hotkey)
    return _Look(True, state, tuple(notes))


def _repo_notes(hub: Hub, repo: str, state: RepoState, hotkey: str) -> list[str]:
    notes = [_private_note(repo)] if state.private else []
    if any(file.name == CARD_FILE for file in state.files):
        try:
            card = parse_card(hub.read(RepoRef(repo, state.commit), CARD_FILE, CARD_LIMIT_BYTES))
        except OperatorError as error:
            return [*notes, f"the present card will be replaced: {str(error).rstrip('.')}"]
        submitter = card.get("submitted_by") if isinstance(card, dict) else None
        if submitter != hotkey:
            notes.append(f"the present card names another hotkey, {submitter!r:.80}: it will be replaced by {hotkey}")
    return notes


def _age_note(version: ModelVersion, now: float, window: PayWindow) -> list[str]:
    if not version.created:
        return []
    age = (now - datetime.fromisoformat(version.created).timestamp()) / DAY_S
    words = window.words(age)
    return [] if words is None else [f"this model was made {age:.0f} days ago; counted from then: {words}"]


def _left_over(state: RepoState | None, uploads: list[Upload]) -> tuple[str, ...]:
    """What an earlier version left in the repository; files of other kinds are the operator's own business."""
    going = {item.path for item in uploads}
    there = state.files if state is not None else ()
    return tuple(sorted(file.name for file in there if is_ours(file.name) and file.name not in {*going, LICENSE_FILE}))


def _carry_out(hub: Hub, plan: PublishPlan, uploads: list[Upload], progress: ImportProgress) -> PublishPlan:
    progress("uploading", 0, 0)
    if plan.creates:
        hub.create_public(plan.repo)
    before = hub.state(RepoRef(plan.repo))
    message = f"Publish {plan.card['model_name']} {plan.version}"
    files = [(item.path, item.content) for item in uploads]
    commit = hub.commit(plan.repo, files, plan.removes, message=message, parent=before.commit)
    progress("tagging", 0, 0)
    _require_arrived(hub.state(RepoRef(plan.repo, commit)), plan)
    try:
        hub.tag(plan.repo, plan.tag, commit, message)
    except OperatorError as error:
        raise OperatorError(
            f"The files are in {plan.repo} (commit {commit[:12]}) but the tag {plan.tag} is not: "
            f"run the same command again. {error}"
        ) from error
    private = (_private_note(plan.repo),) if plan.creates and before.private else ()
    notes = (*plan.notes, *private)
    return replace(plan, commit=commit, notes=notes, url=f"{hub.endpoint}/{plan.repo}/tree/{plan.tag}")


def _require_arrived(state: RepoState, plan: PublishPlan) -> None:
    """A tag lasts, so it comes last: a repository's own .gitignore may have kept files out without an error."""
    there = {file.name: file for file in state.files}
    for file in plan.files:
        found = there.get(file.path)
        if found is None or found.size != file.size or found.sha256 not in (None, file.sha256):
            raise OperatorError(
                f"{plan.repo} did not take {file.path} (commit {state.commit[:12]}), so the tag {plan.tag} is not set: "
                "remove what keeps it out, such as a .gitignore there, and run the same command again."
            )


def _private_note(repo: str) -> str:
    return f"{repo} is private and the subnet wants it public: change that in its settings"
