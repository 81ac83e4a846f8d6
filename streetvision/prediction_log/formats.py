"""Rows as JSON lines and as Parquet: what leaves the log looks the same whatever it is written as."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from streetvision.errors import OperatorError
from streetvision.prediction_log.row import LogRow

Format = Literal["parquet", "jsonl"]

PARQUET_TYPES = {
    "id": "int64",
    "time": "timestamp",
    "validator": "string",
    "uid": "int32",
    "dialect": "string",
    "status": "int32",
    "reason": "string",
    "sha256": "string",
    "size_bytes": "int64",
    "width": "int32",
    "height": "int32",
    "model_version": "string",
    "probability": "float64",
    "logit": "float64",
    "views": "int32",
    "batch_size": "int32",
    "admission_s": "float64",
    "body_s": "float64",
    "decode_s": "float64",
    "queue_s": "float64",
    "inference_s": "float64",
    "reply_s": "float64",
    "headroom_s": "float64",
    "decoded": "float64",
    "first_probability": "float64",
    "second_probability": "float64",
    "router": "string",
    "served_by": "string",
    "image": "string",
}
"""Columns by name; `image_file` and `embedding` follow where they are exported."""


def iso_time(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC with microseconds."""
    return _moment(seconds).isoformat(timespec="microseconds")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def row_fields(row: LogRow, *, embedding: bool = False) -> dict[str, Any]:
    """A row as JSON values: every field under its own name, `time` as ISO 8601 in UTC, the embedding if asked for."""
    values = {item.name: getattr(row, item.name) for item in fields(row) if item.name != "embedding"}
    values["time"] = iso_time(row.time)
    if embedding:
        values["embedding"] = None if row.embedding is None else [_finite(number) for number in row.embedding]
    return values


def _finite(number: np.float16) -> float | None:
    """JSON knows no infinity, and half precision ends at 65504."""
    return float(number) if np.isfinite(number) else None


class HashingFile(io.RawIOBase):
    """Passes bytes on to a binary file and knows their SHA-256 and count, so that nothing is read twice."""

    def __init__(self, target: io.BufferedWriter) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self._discarding = False
        self.count = 0

    def writable(self) -> bool:
        """Whether it takes bytes: always."""
        return True

    def tell(self) -> int:
        """Bytes written so far; Parquet's footer needs it."""
        return self.count

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer, as the base class has it
        """Write all of `data`; raises OSError."""
        view = memoryview(data).cast("B")
        if self._discarding:
            return len(view)
        self._target.write(view)
        self._hash.update(view)
        self.count += len(view)
        return len(view)

    def discard(self) -> None:
        """Swallow what comes later: a Parquet writer writes its footer even when it is only collected."""
        self._discarding = True

    @property
    def sha256(self) -> str:
        """Hex digest of what was written."""
        return self._hash.hexdigest()


class RowWriter(Protocol):
    """Takes rows in order; `close` writes what must come last and leaves the file open."""

    def write(self, rows: Sequence[LogRow], image_files: Sequence[str | None] | None) -> None:
        """Append rows with the names of their image files, None where images are not exported; raises OSError."""
        ...

    def close(self) -> None:
        """End the file's content; raises OSError."""
        ...


class JsonlWriter:
    """One JSON object a line, UTF-8."""

    def __init__(self, file: HashingFile, *, embeddings: bool) -> None:
        self._file, self._embeddings = file, embeddings

    def write(self, rows: Sequence[LogRow], image_files: Sequence[str | None] | None) -> None:
        """Append rows; raises OSError."""
        lines = [row_fields(row, embedding=self._embeddings) for row in rows]
        if image_files is not None:
            lines = [{**line, "image_file": name} for line, name in zip(lines, image_files, strict=True)]
        self._file.write("".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode())

    def close(self) -> None:
        """Nothing comes last."""


class ParquetWriter:
    """A Parquet file, zstd-compressed, one row group a call; `time` is a UTC timestamp, the embedding float16."""

    def __init__(self, file: HashingFile, *, image_files: bool, embeddings: bool) -> None:
        """Raises OperatorError where pyarrow is not installed."""
        self._arrow = require_pyarrow()
        self._schema = self._schema_of(image_files, embeddings)
        import pyarrow.parquet

        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, rows: Sequence[LogRow], image_files: Sequence[str | None] | None) -> None:
        """Append a row group; raises OSError."""
        columns = []
        for item in self._schema:
            if item.name == "embedding":
                columns.append(self._vectors([row.embedding for row in rows]))
            elif item.name == "image_file":
                columns.append(self._arrow.array(image_files, item.type))
            elif item.name == "time":
                columns.append(self._arrow.array([_moment(row.time) for row in rows], item.type))
            else:
                columns.append(self._arrow.array([getattr(row, item.name) for row in rows], item.type))
        self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """Write the footer; raises OSError."""
        self._writer.close()

    def _vectors(self, vectors: Sequence[NDArray[np.float16] | None]) -> Any:  # noqa: ANN401 - pyarrow has no types
        """A column of lists from whole arrays: number by number it would take ten times as long."""
        lengths = [0 if vector is None else vector.size for vector in vectors]
        offsets = self._arrow.array(np.concatenate(([0], np.cumsum(lengths))), self._arrow.int32())
        there = [vector for vector in vectors if vector is not None]
        values = self._arrow.array(np.concatenate(there) if there else np.empty(0, np.float16))
        missing = self._arrow.array([vector is None for vector in vectors])
        return self._arrow.ListArray.from_arrays(offsets, values, mask=missing)

    def _schema_of(self, image_files: bool, embeddings: bool) -> Any:  # noqa: ANN401 - pyarrow carries no types
        arrow = self._arrow
        columns = {
            name: arrow.timestamp("us", tz="UTC") if kind == "timestamp" else getattr(arrow, kind)()
            for name, kind in PARQUET_TYPES.items()
        }
        if image_files:
            columns["image_file"] = arrow.string()
        if embeddings:
            columns["embedding"] = arrow.list_(arrow.float16())
        return arrow.schema(list(columns.items()))


def open_writer(kind: Format, file: HashingFile, *, image_files: bool, embeddings: bool) -> RowWriter:
    """The writer of this format; raises OperatorError where its package is not installed."""
    if kind == "jsonl":
        return JsonlWriter(file, embeddings=embeddings)
    return ParquetWriter(file, image_files=image_files, embeddings=embeddings)


def require_pyarrow() -> ModuleType:
    """Import pyarrow; OperatorError that names the extra where it is missing."""
    try:
        import pyarrow
    except ImportError:
        raise OperatorError(
            "Parquet needs pyarrow, which is not installed: pip install 'streetvision[parquet]', or use --format jsonl"
        ) from None
    module: ModuleType = pyarrow
    return module
