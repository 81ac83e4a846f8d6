"""JSON from outside: a record a line, or one document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streetvision.errors import reason
from streetvision.sources.source import SourceError

LARGEST_BYTES = 1 << 30

_LONGEST = 1000

Record = dict[str, Any]


def read_document(file: Path) -> Record:
    """The object that a JSON file holds; SourceError for anything else."""
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise SourceError(f"{file} is larger than {LARGEST_BYTES >> 20} MiB: split it.")
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{file} cannot be read ({reason(error)}): fetch it again.") from error
    if not isinstance(document, dict):
        raise SourceError(f"{file} holds no JSON object: it is not the file that was looked for.")
    return document


def read_records(file: Path) -> list[Record]:
    """The objects of a file of JSON lines; SourceError that names the line that is none."""
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise SourceError(f"{file} is larger than {LARGEST_BYTES >> 20} MiB: split it.")
        lines = file.read_text(encoding="utf-8-sig").split("\n")  # JSON may hold the other signs that end a line
    except (OSError, UnicodeError) as error:
        raise SourceError(f"{file} cannot be read ({reason(error)}): fetch it again.") from error
    return [_record(file, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def records_after(file: Path, key: str, after: str | None) -> list[Record]:
    """The records in the order of their text under `key`, or those that follow the text `after`."""
    ordered = sorted(read_records(file), key=lambda record: text(record.get(key)))
    return [record for record in ordered if after is None or text(record.get(key)) > after]


def _record(file: Path, number: int, line: str) -> Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise SourceError(f"Line {number} of {file} is no JSON object: write one a line.")
    return record


def text(value: object) -> str:
    """A scalar, or a list of them, as text that can be stored; empty for nothing."""
    if isinstance(value, list):
        return ", ".join(text(part) for part in value)
    if value is None or isinstance(value, dict):
        return ""
    return str(value).strip()[:_LONGEST].encode("utf-8", "replace").decode()
