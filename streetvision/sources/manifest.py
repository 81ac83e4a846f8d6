"""A CSV manifest beside its pictures: `file,label` and, where known, `group,licence,url,labelled_by,trust`.

Every further column becomes a tag, by which judging reports apart.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from pathlib import Path

from streetvision.errors import reason
from streetvision.sources.files import read_picture
from streetvision.sources.labels import LabelWords
from streetvision.sources.source import HUMAN, Amount, Item, SourceError, SourcePicture, Unusable

MANIFEST = "manifest.csv"
LARGEST_BYTES = 256 << 20
_OWN = ("file", "label", "group", "licence", "url", "labelled_by", "trust")


class ManifestSource:
    """The rows of one manifest, in the order of their file names."""

    grows = True

    def __init__(self, file: Path, words: LabelWords, *, licence: str) -> None:
        folder = file.parent
        self.name = f"folder:{folder if file.name == MANIFEST else file}"
        self._file, self._folder, self._words, self._licence = file, folder, words, licence

    def amount(self, after: str | None = None) -> Amount:
        """Files after the key."""
        return Amount(len({row["file"] for row in read_rows(self._file) if after is None or row["file"] > after}))

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        """In the order of their names."""
        named: dict[str, list[dict[str, str]]] = {}
        for row in read_rows(self._file):
            named.setdefault(row["file"], []).append(row)
        for name in sorted(named):
            if after is None or name > after:
                yield self._one(named[name])

    def _one(self, rows: list[dict[str, str]]) -> Item:
        if len({self._words.read(row["label"]) for row in rows}) > 1:
            return Unusable(rows[0]["file"], "the manifest lists it with contrary labels")
        return self._picture(rows[0])

    def _picture(self, row: Mapping[str, str]) -> Item:
        name = row["file"]
        label, trust = self._words.read(row["label"]), _trust(row.get("trust", ""))
        if label is None:
            return Unusable(name, f"its label {row['label']!r:.40} is no class")
        if trust is None:
            return Unusable(name, "its trust is not a number above 0 and up to 1")
        data = read_picture(self._folder, name)
        if isinstance(data, Unusable):
            return data
        return SourcePicture(
            key=name,
            data=data,
            label=label,
            group=row.get("group") or name,
            licence=row.get("licence") or self._licence,
            url=row.get("url", ""),
            labelled_by=row.get("labelled_by") or HUMAN,
            trust=trust,
            tags={column: value for column, value in row.items() if column not in _OWN and value},
        )


def read_rows(file: Path) -> list[dict[str, str]]:
    """The rows by column, stripped; SourceError for what is no such table, with the nearest name of a column."""
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise SourceError(f"{file} is larger than {LARGEST_BYTES >> 20} MiB: split it.")
        text = file.read_text(encoding="utf-8-sig")
        table = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (OSError, UnicodeError, csv.Error) as error:
        raise SourceError(f"{file} cannot be read ({reason(error)}): write it as CSV in UTF-8.") from error
    columns = [column.strip() for column in table[0]] if table else []
    for wanted in ("file", "label"):
        if wanted not in columns:
            raise SourceError(missing_column(wanted, columns, str(file)))
    twice = [column for column in dict.fromkeys(columns) if column and columns.count(column) > 1]
    if twice:
        raise SourceError(f"{file} has {columns.count(twice[0])} columns {twice[0]!r:.80}: keep the one that is right.")
    return [_row(columns, cells) for cells in table[1:] if any(cells)]


def missing_column(wanted: str, columns: Iterable[str], subject: str) -> str:
    """A sentence that names the nearest columns."""
    names = list(columns)
    near = difflib.get_close_matches(wanted, names, n=2, cutoff=0.5)
    guess = f"did you mean {' or '.join(near)}" if near else f"it has {', '.join(names[:20]) or 'none'}"
    return f"{subject} has no column {wanted!r}: {guess}?" if near else f"{subject} has no column {wanted!r}: {guess}."


def _row(columns: list[str], cells: list[str]) -> dict[str, str]:
    """Cells that a short row lacks are empty."""
    padded = [cell.strip() for cell in cells] + [""] * len(columns)
    return dict(zip(columns, padded, strict=False))


def _trust(text: str) -> float | None:
    if not text:
        return 1.0
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and 0.0 < value <= 1.0 else None
