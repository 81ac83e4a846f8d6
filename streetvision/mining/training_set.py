"""A training set on disk: `v0001`, `v0002`, ..., each whole and never changed again.

A version holds `images/<sha256>.<suffix>`, `labels.jsonl` (what to learn from), `left_out.jsonl` (labelled, but not to
be learned from, and why) and `manifest.json` (where it came from, with digests of the other two; it is written last).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streetvision.errors import OperatorError, reason
from streetvision.mining.splitting import Side

FORMAT = 1
MANIFEST, LABELS, LEFT_OUT, IMAGES = "manifest.json", "labels.jsonl", "left_out.jsonl", "images"
_PARTIAL = ".partial"

Record = dict[str, Any]


def latest_version(target: Path) -> tuple[int, Path | None]:
    """Number and folder of the newest whole version below `target`; (0, None) when there is none."""
    found = [path for path in target.glob("v[0-9]*") if path.name[1:].isdigit() and (path / MANIFEST).is_file()]
    newest = max(found, key=lambda path: int(path.name[1:]), default=None)
    return (0, None) if newest is None else (int(newest.name[1:]), newest)


def version_folder(target: Path, number: int) -> Path:
    """Where a version is, or will be."""
    return target / f"v{number:04d}"


def fresh_folder(target: Path) -> Path:
    """An empty folder to write the next version to; what a killed export left is removed."""
    partial = target / _PARTIAL
    try:
        shutil.rmtree(partial, ignore_errors=True)
        (partial / IMAGES).mkdir(parents=True)
    except OSError as error:
        raise OperatorError(f"cannot write in {target} ({reason(error)}): name another place with --to") from error
    return partial


def sides_of(version: Path) -> dict[str, Side]:
    """The side of each picture by digest."""
    return {record["sha256"]: record["split"] for record in read_lines(version / LABELS)}


def read_lines(path: Path) -> list[Record]:
    """The records of one of the two lists."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lists(folder: Path, records: Sequence[Record], left_out: Sequence[Record]) -> None:
    """Write both lists, and remove the copies of pictures that the split left out."""
    for name, some in ((LABELS, records), (LEFT_OUT, left_out)):
        _write(folder / name, "".join(json.dumps(record) + "\n" for record in some))
    wanted = {Path(record["image"]).name for record in records}
    for path in (folder / IMAGES).iterdir():
        if path.name not in wanted:
            path.unlink()


def changed(previous: Path, folder: Path) -> bool:
    """Whether there is anything new to learn from, or to leave out. What only the log counts makes no new version."""
    return any(_essence(previous / name) != _essence(folder / name) for name in (LABELS, LEFT_OUT))


def finish(folder: Path, target: Path, number: int, manifest: Mapping[str, Any]) -> Path:
    """Write the manifest and give the version its name, in one step."""
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (LABELS, LEFT_OUT)}
    whole = {"format": FORMAT, "version": number, **manifest, "sha256": digests}
    _write(folder / MANIFEST, json.dumps(whole, indent=2) + "\n")
    return folder.rename(version_folder(target, number))


def _essence(path: Path) -> list[tuple[Any, ...]]:
    names = ("sha256", "label", "split", "group", "reason")
    return [tuple(record.get(name) for name in names) for record in read_lines(path)]


def _write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
