"""Image sets on the Hugging Face hub, streamed from their Parquet files; the subnet's public set is one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from streetvision.hub.client import Hub, RepoState
from streetvision.hub.files import RemoteFile, RepoRef
from streetvision.sources.labels import USUAL, LabelWords
from streetvision.sources.manifest import missing_column
from streetvision.sources.parquet import Damaged, ParquetRows, RangeFile, Row, cell
from streetvision.sources.records import text
from streetvision.sources.source import UNKNOWN_LICENCE, Amount, Item, SourceError, SourcePicture, Unusable

_NUMBER = re.compile(r"-?\d+\.\d+")
_LAST_ROW = 999_999_999
"""In the key of what is left of a damaged file."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a row's facts stand; dots lead into nested columns."""

    image: str = "image"
    label: str = "label"
    group: tuple[str, ...] = ()
    """Together they name the drive or place. A row that lacks one is grouped by `position`, or stands alone."""
    position: str = ""
    """Latitude and longitude: pictures of one square kilometre belong together."""
    tags: Mapping[str, str] | None = None
    """Names of tags and the columns that hold them."""

    def outer(self) -> list[str]:
        """The outer columns that are needed at most."""
        every = [self.image, self.label, *self.group, self.position, *(self.tags or {}).values()]
        return list(dict.fromkeys(part for path in every if path for part in (path, path.split(".")[0])))


ROADWORK = "natix-network-org/roadwork"
KNOWN_COLUMNS: Mapping[str, Columns] = {
    ROADWORK: Columns(
        group=("city_name", "video_info.vid_id"),
        position="gps",
        tags={
            "city": "city_name",
            "daytime": "scene_level_tags.daytime",
            "weather": "scene_level_tags.weather",
            "environment": "scene_level_tags.scene_environment",
        },
    )
}
"""Sets whose columns are known here."""


class HubSource:
    """One set at one commit; raises SourceError, or OperatorError of the hub, with one sentence."""

    grows = False

    def __init__(self, hub: Hub, ref: RepoRef, columns: Columns | None = None, words: LabelWords = USUAL) -> None:
        state = hub.state(ref)
        self._hub, self._words = hub, words
        self._ref = RepoRef(ref.repo, state.commit, kind="dataset")
        self._columns = columns or KNOWN_COLUMNS.get(ref.repo, Columns())
        self._licence = state.licence or UNKNOWN_LICENCE
        self._files = _parquet_files(state, ref)
        self.name = f"hub:{ref.repo}@{state.commit[:12]}"

    def amount(self, after: str | None = None) -> Amount:
        """Bytes of the files from the key's on."""
        file_after, row = _parsed(after)
        done = row >= _LAST_ROW
        left = [file for file in self._files if file.name > file_after or (file.name == file_after and not done)]
        return Amount(sum(file.size for file in left), "bytes")

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        """File by file and row by row; a damaged file is told once, and what follows it is read."""
        file_after, row_after = _parsed(after)
        for file in self._files:
            if file.name >= file_after:
                first = row_after + 1 if file.name == file_after else 0
                yield from self._file_pictures(file, first)

    def _file_pictures(self, file: RemoteFile, first: int) -> Iterator[Item]:
        if first > _LAST_ROW:
            return
        try:
            rows = ParquetRows(RangeFile(file.size, partial(self._hub.read_range, self._ref, file)))
            columns = self._checked_columns(rows)
            classes = rows.classes(self._columns.label)
            self._check_classes(classes)
            for number, row in rows.rows(columns, first):
                yield self._picture(_key(file, number), row, classes)
        except Damaged as error:
            yield Unusable(_key(file, _LAST_ROW), f"its Parquet file is damaged ({error})")

    def _checked_columns(self, rows: ParquetRows) -> list[str]:
        """Those of the wanted columns that the file has; picture and label must be among them."""
        for path in (self._columns.image, self._columns.label):
            if not {path, path.split(".")[0]} & set(rows.columns):
                raise SourceError(missing_column(path, rows.columns, self._ref.repo) + _SAY_COLUMNS)
        return [name for name in self._columns.outer() if name in rows.columns]

    def _check_classes(self, classes: list[str]) -> None:
        if classes and not any(self._words.read(name) for name in classes):
            raise SourceError(
                f"None of the classes of {self._ref.repo} is known to mean roadwork: it has "
                f"{', '.join(classes[:20])}; name those that do with --positive."
            )

    def _picture(self, key: str, row: Row, classes: list[str]) -> Item:
        data, value = _picture_bytes(cell(row, self._columns.image)), cell(row, self._columns.label)
        named = classes[value] if isinstance(value, int) and 0 <= value < len(classes) else value
        label = self._words.read(named)
        if label is None:
            return Unusable(key, "it has no label" if value is None else f"its label {named!r:.40} is no class")
        if data is None:
            return Unusable(key, "the row holds no picture")
        return SourcePicture(
            key=key,
            data=data,
            label=label,
            group=self._group(row) or f"{self._ref.repo}/{key}",
            licence=self._licence,
            url=f"{self._hub.endpoint}/datasets/{self._ref.repo}",
            tags=self._tags(row),
        )

    def _group(self, row: Row) -> str:
        parts = [text(cell(row, path)) for path in self._columns.group]
        if parts and all(parts):
            return "/".join(parts)
        place = _NUMBER.findall(text(cell(row, self._columns.position))) if self._columns.position else []
        return "/".join(f"{float(number):.2f}" for number in place) if len(place) == 2 else ""

    def _tags(self, row: Row) -> dict[str, str]:
        found = {name: text(cell(row, path)) for name, path in (self._columns.tags or {}).items()}
        return {name: value for name, value in found.items() if value}


_SAY_COLUMNS = " Name yours with --image_column and --label_column."


def _parquet_files(state: RepoState, ref: RepoRef) -> list[RemoteFile]:
    files = sorted((file for file in state.files if file.name.endswith(".parquet")), key=lambda file: file.name)
    if not files:
        raise SourceError(
            f"{ref} holds no Parquet files: try its converted copy, hub:{ref.repo}@refs/convert/parquet, or download "
            "it and add the folder."
        )
    return files


def _picture_bytes(value: object) -> bytes | None:
    """Of a column of bytes, or of the `datasets` library's pairs of bytes and path."""
    inner = value.get("bytes") if isinstance(value, Mapping) else value
    return inner if isinstance(inner, bytes) and inner else None


def _key(file: RemoteFile, row: int) -> str:
    return f"{file.name}#{row:09d}"


def _parsed(key: str | None) -> tuple[str, int]:
    name, _, row = (key or "").rpartition("#")
    return name, int(row) if row.isdigit() else -1
