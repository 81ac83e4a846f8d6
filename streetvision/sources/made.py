"""Pictures that something made, and frames that something labelled: the seam for video and synthetic pictures.

A folder with `made.jsonl`, one record a line: `file`, `label` and `made_by` (a generator, an oracle or a video
pipeline, with its version); where known `labelled_by`, `trust` in (0, 1], `group` (the video, or the picture it was
made from), `licence`, `url`, and `tags`, an object of texts. `trust` is the weight in the loss. Of a variation of
another picture also `parent`, the SHA-256 of that picture's file, with `prompt`, `seed` and `back_end`: they become
tags, and what is tagged with a parent is synthetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from streetvision.sources.files import read_picture
from streetvision.sources.labels import USUAL
from streetvision.sources.records import Record, records_after, text
from streetvision.sources.source import PARENT, UNKNOWN_LICENCE, Amount, Item, SourceError, SourcePicture, Unusable

RECORDS = "made.jsonl"
ORIGIN = (PARENT, "prompt", "seed", "back_end")
"""Fields of a variation that become tags."""
DEFAULT_TRUST = 0.5
"""Of a label that nobody looked at, where its maker does not say."""


class MadePictures:
    """One folder of made pictures."""

    grows = True

    def __init__(self, folder: Path) -> None:
        if not (folder / RECORDS).is_file():
            raise SourceError(f"{folder} holds no {RECORDS}: name a folder that says what made its pictures.")
        self.name = f"made:{folder}"
        self._folder = folder

    def amount(self, after: str | None = None) -> Amount:
        """Pictures after the key."""
        return Amount(len(self._records(after)))

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        """In the order of their file names."""
        for record in self._records(after):
            yield self._picture(record)

    def _records(self, after: str | None) -> list[Record]:
        return records_after(self._folder / RECORDS, "file", after)

    def _picture(self, record: Record) -> Item:
        name = text(record.get("file"))
        label, trust = USUAL.read(record.get("label")), record.get("trust", DEFAULT_TRUST)
        maker, tags = text(record.get("made_by")), record.get("tags") or {}
        if label is None:
            return Unusable(name, "its record has no label")
        if not maker:
            return Unusable(name, "its record does not say what made it")
        if isinstance(trust, bool) or not isinstance(trust, int | float) or not 0.0 < trust <= 1.0:
            return Unusable(name, "its trust is not a number above 0 and up to 1")
        data = read_picture(self._folder, name)
        if isinstance(data, Unusable):
            return data
        return SourcePicture(
            key=name,
            data=data,
            label=label,
            group=text(record.get("group")) or name,
            licence=text(record.get("licence")) or UNKNOWN_LICENCE,
            url=text(record.get("url")),
            labelled_by=text(record.get("labelled_by")) or maker,
            trust=float(trust),
            tags={
                "made_by": maker,
                **_texts(tags),
                **_texts({name: record[name] for name in ORIGIN if name in record}),
            },
        )


def _texts(tags: object) -> dict[str, str]:
    return {text(name): text(value) for name, value in tags.items()} if isinstance(tags, Mapping) else {}
