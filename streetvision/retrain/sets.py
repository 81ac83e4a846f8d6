"""The sets that retraining learns from and is judged on, as the settings name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from streetvision.base.paths import expanded
from streetvision.base.wording import plural
from streetvision.engine.types import BadImage
from streetvision.evaluation.figures import MIN_GROUPS
from streetvision.mining.training_set import MANIFEST
from streetvision.retrain.combining import Member
from streetvision.settings.settings import Settings
from streetvision.sources.dataset import Example
from streetvision.sources.folder_dataset import FolderDataset
from streetvision.sources.mined import CLASSES, LABELS, read_labelled, version_in
from streetvision.sources.picture import check_picture
from streetvision.sources.place import dataset_names, existing_folder
from streetvision.sources.records import Record, read_records, text
from streetvision.sources.source import SourceError, Unusable
from streetvision.sources.stored import StoredDataset, reading

MINED = "training"
"""Where `streetvision mine export` writes, in the state folder."""
SIDES = {"train": "train", "val": "test"}
"""What mining holds out is judged on: a set from the miner's own traffic tells best what it will be asked."""
_THREADS = 4


@dataclass(frozen=True, slots=True)
class NamedSet:
    """One set, its labels read and its pictures not yet."""

    name: str
    examples: tuple[Example, ...]
    folder: Path | None = None
    """Of a stored dataset, whose database knows what its pictures look like."""
    divides: bool = False
    """Whether it holds out for judging alone (see combining.Member)."""
    version: str = ""
    """Of a training set that has versions."""


@dataclass(frozen=True)
class Looked:
    """A set with its pictures looked at."""

    members: tuple[Member, ...]
    unusable: Counter[str]
    """Pictures that were left out, by reason."""


def set_names(settings: Settings) -> list[str]:
    """What to learn from: as the settings name it, with mining's own set where it is wanted and there is one."""
    names, mined = list(settings.retrain.dataset_names), settings.state_dir / MINED
    there = any((path / MANIFEST).is_file() for path in mined.glob("v[0-9]*"))
    if settings.retrain.mine and there and str(mined) not in names:
        names.append(str(mined))
    return names


def learning_sets(names: Iterable[str], state: Path) -> list[NamedSet]:
    """Datasets by name and training sets by folder; raises SourceError."""
    return [mined_set(expanded(name)) if _is_folder(name, state) else _stored(name, state) for name in names]


def frozen_sets(names: Iterable[str], state: Path) -> list[NamedSet]:
    """What models are judged on, whatever split it is in: datasets by name, and folders of labelled pictures."""
    return [_judged(name) if _is_folder(name, state) else _stored(name, state) for name in names]


def check_frozen(names: Iterable[str], state: Path) -> None:
    """Raise SourceError where no model could be judged on these; what is in folders is read by the run alone."""
    folders = [name for name in names if _is_folder(name, state)]
    for name in folders:
        if not expanded(name).exists():
            raise SourceError(f"There is no {name}, which --retrain.frozen names: correct it.")
    stored = [_stored(name, state) for name in names if name not in folders]
    if not folders:
        require_judges([example for one in stored for example in one.examples])


def require_judges(frozen: Sequence[Example]) -> None:
    """Raise SourceError for pictures on which one answer to all could pass, or that cannot tell luck from skill."""
    found = {example.label for example in frozen}
    if len(found) < len(CLASSES):
        lacks = {frozenset(): "is empty", frozenset({True}): "shows roadwork alone"}
        said = lacks.get(frozenset(found), "shows no roadwork")
        raise SourceError(f"The frozen set {said}: give it pictures of both kinds, or name another (--retrain.frozen).")
    groups = {example.group or str(example.path) for example in frozen}
    if len(groups) < MIN_GROUPS:
        raise SourceError(
            f"The frozen set has {plural(len(groups), 'group')} of pictures, and fewer than {MIN_GROUPS} cannot tell "
            "luck from skill: give it pictures of more places, or name another (--retrain.frozen)."
        )


def look(one: NamedSet) -> Looked:
    """What its pictures look like; those that cannot be read, or have changed, are left out."""
    if one.folder is not None:
        return _known(one, one.folder)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(_looked, one.examples))
    members = (
        Member(example, one.name, number, one.divides)
        for example, number in zip(one.examples, found, strict=True)
        if isinstance(number, int)
    )
    return Looked(tuple(members), Counter(item.reason for item in found if isinstance(item, Unusable)))


def _is_folder(name: str, state: Path) -> bool:
    return name not in dataset_names(state) and ("/" in name or expanded(name).is_dir())


def _judged(name: str) -> NamedSet:
    return NamedSet(name, tuple(FolderDataset(expanded(name)).examples()))


def _stored(name: str, state: Path) -> NamedSet:
    found = StoredDataset(existing_folder(name, state))
    return NamedSet(name, tuple(found.examples()), found.folder)


def mined_set(path: Path) -> NamedSet:
    """The newest version of a training set that `streetvision mine export` wrote; raises SourceError."""
    folder = version_in(path)
    examples = tuple(_mined(folder, read_records(folder / LABELS)))
    return NamedSet(str(path), examples, divides=True, version=folder.name)


def _mined(folder: Path, records: Sequence[Record]) -> Iterator[Example]:
    for record in records:
        name, label = text(record.get("image")), CLASSES.get(str(record.get("label")))
        split = SIDES.get(str(record.get("split")))
        inside = (folder / name).resolve().is_relative_to(folder.resolve())
        if not name or not inside or label is None or split is None:
            raise SourceError(f"{folder / LABELS} is no list of `streetvision mine export`: export it again.")
        tags = {"first_seen": text(record.get("first_seen"))[:10]}
        group = text(record.get("group")) or name
        yield Example(
            folder / name, label, group, split, sha256=text(record.get("sha256")), source=f"mined:{folder}", tags=tags
        )


def _known(one: NamedSet, folder: Path) -> Looked:
    with reading(folder) as db:
        numbers = {digest: number % 2**64 for digest, number in db.execute("SELECT sha256, fingerprint FROM pictures")}
    members = tuple(Member(example, one.name, numbers[example.sha256], one.divides) for example in one.examples)
    return Looked(members, Counter())


def _looked(example: Example) -> int | Unusable:
    data = read_labelled(example.path.parent, example.path.name, example.sha256)
    if isinstance(data, Unusable):
        return data
    try:
        return check_picture(data).fingerprint
    except BadImage as error:
        return Unusable(example.path.name, str(error))
