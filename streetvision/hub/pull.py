"""Fetch a stranger's model into the registry, and go on where an earlier attempt stopped.

A repository is hostile until shown otherwise: only a model's own files are fetched, their sizes are known and bounded
before, their hashes compared after, and nothing enters the registry that it does not load and try itself.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streetvision.base.disk import exclusive, sentences
from streetvision.errors import OperatorError
from streetvision.hub.card import CARD_FILE, age_days, parse_card, problems
from streetvision.hub.classifiers import add_classifier
from streetvision.hub.client import Hub
from streetvision.hub.errors import FULL_DISK
from streetvision.hub.files import (
    CLASSIFIER,
    DEFAULT_LIMIT_BYTES,
    DEFAULT_REVISION,
    HUB,
    OPEN_CLIP,
    Choice,
    RemoteFile,
    RepoRef,
    check_repo,
    check_revision,
    choose,
    is_weights,
    narrow,
    size_text,
)
from streetvision.models.checks import CheckpointError
from streetvision.models.ensemble import read_ensemble
from streetvision.models.folder import CONFIG_FILE, WEIGHTS_FILE, read_config
from streetvision.models.versions import ModelVersion, is_version
from streetvision.registry.model_import import ImportProgress, no_progress
from streetvision.registry.registry import Registry
from streetvision.subnet import PAY_WINDOW, PayWindow

PULLS_FOLDER = "pulls"
"""In the registry's folder: what has arrived of pulls that are not finished."""
SPARE_BYTES = 64 << 20
PART = ".part"

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A repository's model on the disk, with every file's hash compared to the hub's list."""

    kind: str
    """`checkpoint`, `ensemble`, `transformers` or `open_clip`."""
    folder: Path
    ref: RepoRef
    """Pinned to a commit."""
    total_bytes: int
    resumed_bytes: int
    """How much an earlier, unfinished pull had brought already."""


def pull(
    repo: str,
    revision: str | None,
    registry: Registry,
    *,
    version: str | None = None,
    positive: Sequence[str] = (),
    hotkey: str | None = None,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
    progress: ImportProgress = no_progress,
    warn: Warn = lambda _: None,
    hub: Hub | None = None,
    now: Callable[[], float] = time.time,
    window: PayWindow = PAY_WINDOW,
) -> ModelVersion:
    """Fetch a model (owner/name at a tag, branch or commit; None: `main`) into the registry; returns its version.

    A pull that was cut off goes on where it stopped when it is run again. `version` renames the model, `hotkey` (ss58)
    is compared with its card; `warn` hears sentences about the card, which never stop a pull. `positive` are the labels
    of a transformers classifier that mean roadwork. Raises OperatorError.
    """
    ref = RepoRef(repo, revision or DEFAULT_REVISION)
    check_repo(ref.repo)
    check_revision(ref.revision)
    place = registry.folder / PULLS_FOLDER / repo.replace("/", "--")
    with sentences(f"Pulling {ref}"), exclusive(place, patience_s=0.0):
        fetched = fetch(ref, place, limit_bytes=limit_bytes, progress=progress, hub=hub)
        for sentence in _about_card(fetched.folder, hotkey, now(), window):
            warn(sentence)
        try:
            found = _add(fetched, registry, version or _tagged(fetched, revision), positive, progress)
        except CheckpointError:
            if fetched.kind != CLASSIFIER:  # a classifier may only want --positive, and need not be fetched again
                shutil.rmtree(fetched.folder, ignore_errors=True)
            raise
        shutil.rmtree(fetched.folder, ignore_errors=True)
    return found


def fetch(
    ref: RepoRef,
    place: Path,
    *,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
    progress: ImportProgress = no_progress,
    hub: Hub | None = None,
    open_clip: bool = False,
) -> Fetched:
    """Fetch a model's files into `place`/<commit>, going on with what an earlier call left there.

    Descriptions come first: what they show to be wrong costs no download of weights. `open_clip` as in `choose`. Raises
    OperatorError.
    """
    hub = hub or Hub()
    state = hub.state(ref)
    choice = choose(state.files, ref.repo, limit_bytes=limit_bytes, open_clip=open_clip)
    pinned = RepoRef(ref.repo, state.commit)
    folder = place / state.commit
    with sentences(f"Fetching {ref}"):
        _forget_others(place, folder)
        for file in choice.files:
            if not is_weights(file.name):
                _fetch_file(hub, pinned, file, folder, lambda _: None)
        choice = _checked(choice, folder, str(ref))
        resumed = _require_space(choice, folder, str(ref))
        _fetch_weights(hub, pinned, choice, folder, progress)
    return Fetched(choice.kind, folder, pinned, choice.total_bytes, resumed)


def _about_card(folder: Path, hotkey: str | None, now: float, window: PayWindow) -> list[str]:
    path = folder / CARD_FILE
    if not path.is_file():
        return [f"there is no {CARD_FILE}: the subnet wants one in the repository that you name as yours"]
    try:
        card = parse_card(path.read_bytes())
    except OperatorError as error:
        return [str(error).rstrip(".")]
    wrong = problems(card, hotkey, now=now)
    sentences = [f"{CARD_FILE}: {'; '.join(wrong)}"] if wrong else []
    age = age_days(card, now)
    words = None if age is None else window.words(age)
    if words is not None:
        sentences.append(f"the model was submitted {age:.0f} days ago, {words}")
    return sentences


def _forget_others(place: Path, folder: Path) -> None:
    """Parts of another commit are of no use any more."""
    for other in place.iterdir() if place.is_dir() else ():
        if other.is_dir() and other != folder:
            shutil.rmtree(other, ignore_errors=True)


def _fetch_file(hub: Hub, ref: RepoRef, file: RemoteFile, folder: Path, arrived: Callable[[int], None]) -> None:
    target = folder / file.name
    if target.is_file():  # its hash was compared before it got this name
        arrived(target.stat().st_size)
        return
    part = target.with_name(target.name + PART)
    hub.fetch(ref, file, part, arrived)
    part.rename(target)


def _fetch_weights(hub: Hub, ref: RepoRef, choice: Choice, folder: Path, progress: ImportProgress) -> None:
    weights = [file for file in choice.files if is_weights(file.name)]
    total, done = sum(file.size for file in weights), 0

    def arrived(count: int) -> None:
        nonlocal done
        done += count
        progress("fetching", done, total)

    for file in weights:
        _fetch_file(hub, ref, file, folder, arrived)


def _checked(choice: Choice, folder: Path, subject: str) -> Choice:
    """Compare the descriptions with the hashes that the hub lists for the weights; drop what is no member."""
    if choice.kind == "ensemble":
        ensemble = read_ensemble(folder)
        choice = narrow(choice, (member.folder for member in ensemble.members))
    if choice.kind in (CLASSIFIER, OPEN_CLIP):
        return choice
    listed = {file.name: file.sha256 for file in choice.files}
    for name in (name for name in listed if name.rpartition("/")[2] == CONFIG_FILE):
        weights = name.removesuffix(CONFIG_FILE) + WEIGHTS_FILE
        config = read_config(folder / Path(name).parent)
        if weights not in listed:
            raise CheckpointError(f"{subject} has {name} but no {weights}: the upload is not complete.")
        if listed[weights] is not None and listed[weights] != config.sha256:
            raise CheckpointError(
                f"{name} of {subject} names other weights than {weights} is: the files do not belong together."
            )
    return choice


def _require_space(choice: Choice, folder: Path, subject: str) -> int:
    """How much is there already; OperatorError when the rest does not fit on the disk."""
    there = 0
    for file in choice.files:
        for path in (folder / file.name, folder / (file.name + PART)):
            there += path.stat().st_size if is_weights(file.name) and path.is_file() else 0
    missing, free = choice.total_bytes - there, shutil.disk_usage(folder).free
    if missing + SPARE_BYTES > free:
        raise OperatorError(
            f"{subject} needs {size_text(missing)} more but the disk has {size_text(free)} free: free some space."
        )
    return there


def _tagged(fetched: Fetched, revision: str | None) -> str | None:
    """The version that a tag names; only a classifier needs it, since other models say theirs themselves."""
    named = (revision or "").removeprefix("v")
    return named if fetched.kind == CLASSIFIER and is_version(named) else None


def _add(
    fetched: Fetched, registry: Registry, version: str | None, positive: Sequence[str], progress: ImportProgress
) -> ModelVersion:
    source = f"{HUB}{fetched.ref}"
    if fetched.kind == CLASSIFIER:
        return add_classifier(
            fetched.folder, registry, source=source, version=version, positive=positive, progress=progress
        )
    if positive:
        raise OperatorError("--positive belongs to a transformers classifier; a checkpoint knows its answer.")
    return registry.add(lambda target: _hand_over(fetched.folder, target), source, version=version, progress=progress)


def _hand_over(folder: Path, target: Path) -> None:
    """Small files are copied, since the registry may rewrite them; weights get a second name, or are copied too."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != PART):
        place = target / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not (is_weights(path.name) and _linked(path, place)):
            shutil.copyfile(path, place)


def _linked(path: Path, place: Path) -> bool:
    """Whether the file system allowed a second name; some do not."""
    try:
        os.link(path, place)
    except OSError as error:
        if error.errno in FULL_DISK:
            raise
        return False
    return True
