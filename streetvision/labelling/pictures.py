"""Which pictures an oracle is asked about: those of the prediction log, of a dataset or of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streetvision.base.paths import expanded
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter
from streetvision.sources.dataset import Example
from streetvision.sources.files import is_text, picture_names, read_picture
from streetvision.sources.mined import CLASSES, LABELS, version_in
from streetvision.sources.opening import open_dataset
from streetvision.sources.place import dataset_names
from streetvision.sources.records import read_records
from streetvision.sources.source import HUMAN, SourceError, Unusable

LOG = "log"
"""How the prediction log is named as a source."""
ASKED = "asked"
"""Source of pictures that somebody asked about through the seam."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to ask about, and what others say of it."""

    sha256: str
    path: Path
    source: str
    place: str = ""
    """What was taken together, such as a drive: its pictures are one witness. Empty: it stands alone."""
    probability: float | None = None
    """P(roadwork) as the miner answered it."""
    human: bool | None = None
    """A person's label."""


def log_pictures(reader: LogReader, choice: LogFilter, labels: dict[str, bool]) -> Iterator[Picture]:
    """The pictures of the log, the newest first, each once; `labels` are people's by digest."""
    seen: set[str] = set()
    for row in reader.rows(choice, newest_first=True):
        path = reader.image_path(row.sha256)
        if path is not None and row.sha256 not in seen:
            seen.add(row.sha256)
            yield Picture(row.sha256, path, LOG, probability=row.probability, human=labels.get(row.sha256))


def named_pictures(name: str, state: Path, left_out: Callable[[Unusable], None] = lambda _: None) -> Iterator[Picture]:
    """Those of a dataset by its name, or of a folder; `left_out` hears of files that are none. Raises SourceError."""
    if name in dataset_names(state):
        yield from map(_of_example, open_dataset(name, state=state).examples())
        return
    folder = expanded(name)
    if not folder.is_dir():
        known = ", ".join([LOG, *dataset_names(state)])
        raise SourceError(f"{name!r:.100} is neither a dataset nor a folder: name a folder, or one of {known}.")
    yield from _of_folder(folder.absolute(), left_out)


def _of_example(example: Example) -> Picture:
    by_human = example.tags.get("labelled_by", HUMAN) == HUMAN
    return Picture(
        example.sha256,
        example.path.absolute(),
        example.source,
        place=f"{example.source} {example.group}",
        human=example.label if by_human else None,
    )


def _of_folder(folder: Path, left_out: Callable[[Unusable], None]) -> Iterator[Picture]:
    """Pictures without labels: folders named after classes become a dataset first."""
    if not is_text(str(folder)):
        raise SourceError(f"The name of the folder {str(folder)!a} is not UTF-8: rename it.")
    names = picture_names(folder)
    if not names:
        raise SourceError(f"{folder} holds no picture: name the folder that they lie in.")
    for name in names:
        data = read_picture(folder, name) if is_text(name) else Unusable(ascii(name), "its name is not UTF-8")
        if isinstance(data, Unusable):
            left_out(data)
        else:
            yield Picture(hashlib.sha256(data).hexdigest(), folder / name, f"folder:{folder}")


def app_labels(training: Path) -> dict[str, bool]:
    """What people said in the App, by digest, as `streetvision mine export` wrote it last; empty where it never did."""
    try:
        folder = version_in(training)
    except SourceError:
        return {}
    found = (
        (str(record.get("sha256")), CLASSES.get(str(record.get("label")))) for record in read_records(folder / LABELS)
    )
    return {digest: label for digest, label in found if label is not None}


def distinct(pictures: Iterable[Picture], limit: int | None = None) -> list[Picture]:
    """Each once, the first so many; a person's label is kept wherever it stands among them."""
    found: dict[str, Picture] = {}
    for one in pictures:
        if len(found) == limit:
            break
        kept = found.get(one.sha256)
        if kept is None or (kept.human is None and one.human is not None):
            found[one.sha256] = one
    return list(found.values())
