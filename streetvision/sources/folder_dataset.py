"""Labelled pictures as they lie in a folder: for judging a model on them at once, with nothing written anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from streetvision.engine.types import BadImage
from streetvision.sources.dataset import Example
from streetvision.sources.folder import open_folder
from streetvision.sources.picture import check_picture
from streetvision.sources.source import Item, SourceError, Unusable
from streetvision.sources.stored import CONTRARY, fingerprint_of

SPLIT = "test"
_THREADS, _BATCH = 4, 32


class FolderDataset:
    """All sound pictures of a folder in the split `test`; raises SourceError when there are none."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.folder = path if path.is_dir() else path.parent
        checked = list(_checked(open_folder(path).pictures(), self.folder))
        self.unusable = [item for item in checked if isinstance(item, Unusable)]
        """What is left out, with the reason."""
        self._examples = self._distinct(item for item in checked if isinstance(item, Example))
        if not self._examples:
            raise SourceError(f"{path} holds no picture that can be read: {_commonest(self.unusable)}.")

    @property
    def fingerprint(self) -> str:
        """SHA-256 over contents, labels, splits and weights."""
        return fingerprint_of(self._examples)

    def examples(self, split: str | None = None) -> list[Example]:
        """All of them, in the order of their names, or none of another split."""
        return list(self._examples) if split in (None, SPLIT) else []

    def _distinct(self, examples: Iterable[Example]) -> list[Example]:
        """Each picture once; none of those whose copies have contrary labels."""
        named: dict[str, list[Example]] = {}
        for example in examples:
            named.setdefault(example.sha256, []).append(example)
        contrary = [some for some in named.values() if len({one.label for one in some}) > 1]
        self.unusable += [Unusable(str(one.path), CONTRARY) for some in contrary for one in some]
        return [some[0] for some in named.values() if some not in contrary]


def _checked(items: Iterable[Item], folder: Path) -> Iterator[Example | Unusable]:
    """Decode in threads, a batch at a time, so that few pictures are held in memory."""
    batch: list[Item] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for item in items:
            batch.append(item)
            if len(batch) == _BATCH:
                yield from pool.map(lambda one: _example(one, folder), batch)
                batch = []
        yield from pool.map(lambda one: _example(one, folder), batch)


def _example(item: Item, folder: Path) -> Example | Unusable:
    if isinstance(item, Unusable):
        return item
    try:
        check_picture(item.data)
    except BadImage as error:
        return Unusable(item.key, str(error))
    return Example(
        path=folder / item.key,
        label=item.label,
        group=item.group,
        split=SPLIT,
        weight=item.trust,
        sha256=hashlib.sha256(item.data).hexdigest(),
        source=f"folder:{folder}",
        tags={**item.tags, "licence": item.licence, "labelled_by": item.labelled_by},
    )


def _commonest(unusable: list[Unusable]) -> str:
    return unusable[0].reason if unusable else "it is empty"
