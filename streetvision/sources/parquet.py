"""Rows of a Parquet file that lies elsewhere, a few at a time, from any row on."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from streetvision.sources.source import SourceError

Row = Mapping[str, Any]
ReadRange = Callable[[int, int], bytes]
"""So many bytes (second) from a place in the file (first)."""
_BUFFER_BYTES = 8 << 20
"""Read at once: pages of pictures are large, and each request takes a tenth of a second."""
_ROWS = 16
_UNPACKED_BYTES, _UNPACKED_TIMES = 64 << 20, 10
"""A row group may unpack to so many bytes, or to so many times its size: pictures are packed already."""


class Damaged(Exception):
    """The file is no sound Parquet from here on; the message says what Arrow found."""


class RangeFile(io.RawIOBase):
    """A file to read from by ranges."""

    def __init__(self, size: int, read_range: ReadRange) -> None:
        self._size, self._read_range, self._place = size, read_range, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The place that is read next."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = min(max(base + offset, 0), self._size)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """All bytes that are asked for, fewer at the end only."""
        left = self._size - self._place
        wanted = left if size is None or size < 0 else min(size, left)
        data = self._read_range(self._place, wanted) if wanted else b""
        self._place += len(data)
        return data


class ParquetRows:
    """One file's columns and rows; raises Damaged, and whatever reading the bytes raises but OSError: Arrow's own."""

    def __init__(self, file: RangeFile) -> None:
        self._arrow = require_pyarrow()
        from pyarrow import parquet

        try:
            self._file = parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        except (self._arrow.ArrowException, OSError) as error:
            raise Damaged(_first_line(error)) from error

    @property
    def count(self) -> int:
        """How many rows there are."""
        return int(self._file.metadata.num_rows)

    @property
    def columns(self) -> list[str]:
        """Names of the outer columns."""
        return [str(name) for name in self._file.schema_arrow.names]

    def classes(self, column: str) -> list[str]:
        """The names of a column's classes, where the `datasets` library has noted them."""
        noted = (self._file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
        try:
            feature = json.loads(noted)["info"]["features"][column]
            return [str(name) for name in feature["names"]]
        except (ValueError, LookupError, TypeError):
            return []

    def rows(self, columns: Sequence[str], first: int = 0) -> Iterator[tuple[int, Row]]:
        """Number and content of each row from `first` on; row groups before it are not fetched."""
        start = 0
        for number in range(self._file.metadata.num_row_groups):
            stop = start + int(self._file.metadata.row_group(number).num_rows)
            if stop > first:
                for row, content in enumerate(self._group(number, columns), start):
                    if row >= first:
                        yield row, content
            start = stop

    def _require_bounded(self, number: int, columns: Sequence[str]) -> None:
        """Raise Damaged for a row group that says that it would fill the memory."""
        group = self._file.metadata.row_group(number)
        every = [group.column(place) for place in range(group.num_columns)]
        wanted = [one for one in every if one.path_in_schema.split(".")[0] in columns]
        unpacked = sum(one.total_uncompressed_size for one in wanted)
        if unpacked > max(_UNPACKED_BYTES, _UNPACKED_TIMES * sum(one.total_compressed_size for one in wanted)):
            raise Damaged(f"its rows unpack to {unpacked >> 20:,} MiB, which no pictures do")

    def _group(self, number: int, columns: Sequence[str]) -> Iterator[Row]:
        self._require_bounded(number, columns)
        batches = self._file.iter_batches(_ROWS, row_groups=[number], columns=list(columns))
        while True:
            try:
                batch = next(batches, None)
                content = None if batch is None else batch.to_pylist()
            except (self._arrow.ArrowException, OSError, UnicodeDecodeError) as error:
                raise Damaged(_first_line(error)) from error
            if content is None:
                return
            yield from content


def require_pyarrow() -> ModuleType:
    """Import pyarrow; SourceError that names the extra where it is missing."""
    try:
        import pyarrow
    except ImportError:
        raise SourceError(
            "Sets on the hub are Parquet files, which need pyarrow: pip install 'streetvision[train]'."
        ) from None
    module: ModuleType = pyarrow
    return module


def cell(row: Row, path: str) -> object:
    """A value by the name of its column, or by a path into nested ones such as `video.id`; None where there is none."""
    if path in row:
        return row[path]
    value: object = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:160]
