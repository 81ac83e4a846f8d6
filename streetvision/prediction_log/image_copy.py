"""Images leave the log: each once, checked against its name, and not again where it already lies."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from streetvision.prediction_log.destinations import Destination
from streetvision.prediction_log.row import LogRow

FOLDER = "images"
_SUFFIXES = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"))


class ImageSource(Protocol):
    """Where images lie; the log's reader is one."""

    def image_path(self, sha256: str) -> Path | None:
        """The file of this image; None where there is none."""
        ...


def read_image(path: Path | None, sha256: str) -> tuple[bytes, str]:
    """An image's bytes and an empty word, or no bytes and why: `gone`, `unreadable`, or `damaged` (another hash)."""
    if path is None:
        return b"", "gone"
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # the miner may evict it at any moment
        return b"", "gone"
    except OSError:
        return b"", "unreadable"
    return (data, "") if hashlib.sha256(data).hexdigest() == sha256 else (b"", "damaged")


class ImageCopier:
    """Copies the images of rows to `images/ab/cd/<sha256>.<type>` at the destination, and counts what it could not."""

    def __init__(self, source: ImageSource, destination: Destination) -> None:
        """Lists what the destination has; raises OperatorError."""
        self._source, self._destination = source, destination
        self._there = dict(destination.sizes(FOLDER))
        self._names: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self.missing: Counter[str] = Counter()
        """Rows without their image, by why."""
        self.bytes = 0
        self.copied = 0
        """Images sent now; the others were there already."""

    @property
    def images(self) -> int:
        """Distinct images at the destination that belong to the rows so far."""
        return len(self._names)

    def copy(self, rows: Sequence[LogRow]) -> list[str | None]:
        """Each row's image file at the destination, None where it has none; raises OperatorError."""
        wanted = {row.sha256 for row in rows if row.image == "stored"} - self._names.keys() - self._failed.keys()
        jobs = [(sha256, self._source.image_path(sha256)) for sha256 in sorted(wanted)]
        with ThreadPoolExecutor(self._destination.parallel) as pool:
            for (sha256, _), (name, size, problem) in zip(jobs, pool.map(self._send, jobs), strict=True):
                if problem:
                    self._failed[sha256] = problem
                    continue
                self._names[sha256] = name
                self.bytes += size
                self.copied += name not in self._there
        return [self._file_of(row) for row in rows]

    def _send(self, job: tuple[str, Path | None]) -> tuple[str, int, str]:
        """On a pool thread: name, size and what went wrong."""
        sha256, path = job
        data, problem = read_image(path, sha256)
        name = f"{FOLDER}/{sha256[:2]}/{sha256[2:4]}/{sha256}{_suffix(data)}"
        if not problem and self._there.get(name) != len(data):
            self._destination.put(name, data)
        return name, len(data), problem

    def _file_of(self, row: LogRow) -> str | None:
        if row.image == "none":
            return None
        name = self._names.get(row.sha256) if row.image == "stored" else None
        if name is None:
            self.missing[self._failed.get(row.sha256, "gone") if row.image == "stored" else row.image] += 1
        return name


def _suffix(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _SUFFIXES if data.startswith(magic)), "")
