"""The log leaves the miner: rows as one table, images beside it, and a manifest that comes last and vouches for both.

An export without `manifest.json` was interrupted; running it again goes on with the images that are there already.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from streetvision import __version__
from streetvision.errors import OperatorError
from streetvision.prediction_log.destinations import Destination, disk_sentences
from streetvision.prediction_log.formats import Format, HashingFile, iso_time, open_writer
from streetvision.prediction_log.image_copy import ImageCopier
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter, LogRow

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
CHUNK_ROWS = 1000
"""Rows read at once: no read of the log lasts long enough to keep its writer from tidying up."""

RowsDone = Callable[[int], None]
"""Hears how many more rows are done."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to export, and how."""

    format: Format = "parquet"
    images: bool = False
    embeddings: bool = False
    overwrite: bool = False
    """Replace an export that is already there, rather than refuse."""
    filter: LogFilter = field(default_factory=LogFilter)

    @property
    def table(self) -> str:
        """Name of the table's file."""
        return f"predictions.{self.format}"


@dataclass(slots=True)
class _Span:
    """What the rows written so far amount to."""

    rows: int = 0
    first_id: int | None = None
    last_id: int | None = None

    def add(self, rows: list[LogRow]) -> None:
        self.rows += len(rows)
        self.first_id = rows[0].id if self.first_id is None else self.first_id
        self.last_id = rows[-1].id


def export_log(
    reader: LogReader,
    destination: Destination,
    options: ExportOptions,
    *,
    now: float,
    progress: RowsDone = lambda _: None,
) -> Mapping[str, Any]:
    """Export the rows that are logged now and pass the filter; returns the manifest as written.

    Raises OperatorError: an export is there already, the destination refuses, a package is missing.
    """
    _make_room(destination, options)
    copier = ImageCopier(reader, destination) if options.images else None
    span = _Span()
    with _table(destination, options) as file:
        writer = open_writer(options.format, file, image_files=options.images, embeddings=options.embeddings)
        for rows in chunks(reader, options.filter, embeddings=options.embeddings):
            writer.write(rows, None if copier is None else copier.copy(rows))
            span.add(rows)
            progress(len(rows))
        writer.close()
    manifest = _manifest(options, span, file, copier, now)
    destination.put(MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
    return manifest


def chunks(reader: LogReader, choice: LogFilter, *, embeddings: bool = False) -> Iterator[list[LogRow]]:
    """Rows in the order of logging, up to the last of now, a thousand at a time."""
    last, after = reader.last_id(), 0
    while rows := list(reader.rows(choice, after_id=after, limit=CHUNK_ROWS, embeddings=embeddings)):
        after = rows[-1].id
        if known := [row for row in rows if row.id <= last]:
            yield known
        if after >= last:
            return


def _make_room(destination: Destination, options: ExportOptions) -> None:
    """Refuse to mix with a whole export; otherwise take its manifest away first, since it is about to become untrue."""
    if destination.read(MANIFEST) is not None:
        if not options.overwrite:
            raise OperatorError(f"{destination} holds an export already: name another place or add --overwrite")
        destination.delete(MANIFEST)
    for name in {"predictions.parquet", "predictions.jsonl"} - {options.table}:
        destination.delete(name)


@contextmanager
def _table(destination: Destination, options: ExportOptions) -> Iterator[HashingFile]:
    """The table's file, which reaches the destination when it is whole and is removed when it is not."""
    scratch = destination.scratch(options.table)
    try:
        with disk_sentences(scratch.parent), scratch.open("wb") as file:
            hashing = HashingFile(file)
            try:
                yield hashing
            finally:
                hashing.discard()
            file.flush()
        destination.put_file(options.table, scratch)
    finally:
        scratch.unlink(missing_ok=True)


def _manifest(
    options: ExportOptions, span: _Span, file: HashingFile, copier: ImageCopier | None, now: float
) -> dict[str, Any]:
    images = None
    if copier is not None:
        images = {
            "files": copier.images,
            "bytes": copier.bytes,
            "copied_now": copier.copied,
            "rows_without": dict(sorted(copier.missing.items())),
        }
    return {
        "manifest": MANIFEST_VERSION,
        "created": iso_time(now),
        "streetvision": __version__,
        "format": options.format,
        "embeddings": options.embeddings,
        "filter": {name: value for name, value in asdict(options.filter).items() if value is not None},
        "rows": span.rows,
        "first_id": span.first_id,
        "last_id": span.last_id,
        "table": {"name": options.table, "bytes": file.count, "sha256": file.sha256},
        "images": images,
    }


def export_report(manifest: Mapping[str, Any], destination: str) -> str:
    """What was exported, for people."""
    table, images = manifest["table"], manifest["images"]
    lines = [f"{manifest['rows']:,} rows in {destination}/{table['name']} ({table['bytes']:,} bytes)"]
    if images is not None:
        lines.append(
            f"{images['files']:,} images ({images['bytes'] / 2**20:,.1f} MiB), "
            f"{images['copied_now']:,} of them copied now"
        )
        if images["rows_without"]:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in images["rows_without"].items())
            lines.append(f"{sum(images['rows_without'].values()):,} rows without their image: {reasons}")
    return "\n".join(lines)
