"""Pictures in a folder: subfolders named after the classes, or a CSV manifest (manifest.py) beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from streetvision.sources.files import picture_names, read_picture
from streetvision.sources.labels import USUAL, LabelWords
from streetvision.sources.manifest import MANIFEST, ManifestSource
from streetvision.sources.source import Item, Source, SourceError, SourcePicture, Unusable

UNKNOWN_LICENCE = "unknown"


def open_folder(path: Path, words: LabelWords = USUAL, *, licence: str = UNKNOWN_LICENCE) -> Source:
    """A folder of classes, one with a manifest, or the manifest itself; SourceError when it is none of them."""
    if path.is_file() and path.suffix.lower() == ".csv":
        return ManifestSource(path, words, licence=licence)
    if not path.is_dir():
        raise SourceError(f"{path} does not exist: name a folder of pictures, or a CSV manifest.")
    if (path / MANIFEST).is_file():
        return ManifestSource(path / MANIFEST, words, licence=licence)
    return ClassFolders(path, words, licence=licence)


class ClassFolders:
    """`roadwork/...` and `none/...`, `1` and `0`, and the like; folders below these are groups."""

    grows = True

    def __init__(self, folder: Path, words: LabelWords, *, licence: str) -> None:
        self.name = f"folder:{folder}"
        self._folder, self._words, self._licence = folder, words, licence

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        """In the order of their names."""
        names = picture_names(self._folder)
        if not any(self._class_of(name) for name in names):
            raise SourceError(
                f"{self._folder} holds no labelled pictures: sort them into folders `roadwork` and `none`, "
                "or write a manifest.csv with the columns file and label."
            )
        for name in names:
            if after is None or name > after:
                yield self._picture(name)

    def _picture(self, name: str) -> Item:
        found = self._class_of(name)
        if found is None:
            return Unusable(name, "no folder above it is named after a class")
        data = read_picture(self._folder, name)
        if isinstance(data, Unusable):
            return data
        label, below = found
        return SourcePicture(name, data, label, below or name, self._licence)

    def _class_of(self, name: str) -> tuple[bool, str] | None:
        """The label by the nearest folder that names a class, and the folders below that one."""
        parents = PurePosixPath(name).parts[:-1]
        for depth in range(len(parents), 0, -1):
            label = self._words.read(parents[depth - 1])
            if label is not None and (self._words.negative is not None or label or depth == 1):
                return label, "/".join(parents[depth:])
        return None
