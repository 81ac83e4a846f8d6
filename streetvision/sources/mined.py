"""Training sets that `streetvision mine export` writes: an operator's challenges with the labels made in the App."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from streetvision.sources.files import read_picture
from streetvision.sources.records import Record, records_after, text
from streetvision.sources.source import Amount, Item, SourceError, SourcePicture, Unusable

LICENCE = "own challenges"
LABELS = "labels.jsonl"
CLASSES = {"roadwork": True, "none": False}
"""Labels as the list says them."""


class MinedSet:
    """One version of a training set, or the newest below a folder of them; a version never changes."""

    grows = False

    def __init__(self, path: Path) -> None:
        self._folder = version_in(path)
        self.name = f"mined:{self._folder}"

    def amount(self, after: str | None = None) -> Amount:
        """Pictures after the key."""
        return Amount(len(self._records(after)))

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        """In the order of their file names."""
        for record in self._records(after):
            yield self._picture(record)

    def _records(self, after: str | None) -> list[Record]:
        return records_after(self._folder / LABELS, "image", after)

    def _picture(self, record: Record) -> Item:
        name, label = text(record.get("image")), CLASSES.get(str(record.get("label")))
        if label is None:
            return Unusable(name, f"its label {record.get('label')!r:.40} is no class")
        data = read_labelled(self._folder, name, record.get("sha256"))
        if isinstance(data, Unusable):
            return data
        tags = {name: text(record.get(name)) for name in ("first_seen", "video")}
        tags |= {"mined_split": text(record.get("split"))} | _place_in_video(record)
        return SourcePicture(
            key=name,
            data=data,
            label=label,
            group=text(record.get("group")) or name,
            licence=text(record.get("licence")) if tags["video"] else LICENCE,
            tags={name: value for name, value in tags.items() if value},
        )


def _place_in_video(record: Record) -> dict[str, str]:
    """Second and segment of a frame."""
    time, segment = record.get("video_time"), record.get("video_segment")
    known = isinstance(time, float) and isinstance(segment, int)
    return {"time": f"{time:.2f}", "segment": str(segment)} if known else {}


def read_labelled(folder: Path, name: str, digest: object) -> bytes | Unusable:
    """The picture's bytes; unusable where they are no longer those of that SHA-256."""
    data = read_picture(folder, name)
    if isinstance(data, Unusable) or hashlib.sha256(data).hexdigest() == digest:
        return data
    return Unusable(name, "the file is not the picture that was labelled")


def version_in(path: Path) -> Path:
    """The folder of a version: named itself, or the newest one below; SourceError where there is none."""
    if (path / LABELS).is_file():
        return path
    found = [one for one in path.glob("v[0-9]*") if one.name[1:].isdigit() and (one / LABELS).is_file()]
    if not found:
        raise SourceError(f"{path} holds no training set: write one with `streetvision mine export`.")
    return max(found, key=lambda one: int(one.name[1:]))
