"""Where an export goes: a folder here, or a bucket (s3.py). Nothing has its final name before it is whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from streetvision.base.paths import expanded
from streetvision.errors import ConfigError, OperatorError, reason

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Destination(Protocol):
    """A flat store of named files; names are relative, with slashes. Every method raises OperatorError.

    `put` and `put_file` may be called from several threads, for different names.
    """

    parallel: int
    """How many `put` calls at once are worth while."""

    def read(self, name: str) -> bytes | None:
        """A small file's bytes; None where there is no such file."""
        ...

    def sizes(self, folder: str) -> Mapping[str, int]:
        """Sizes of the files under `folder`, by name: what an interrupted export left done."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Store a whole file, replacing one of that name."""
        ...

    def put_file(self, name: str, path: Path) -> None:
        """Store the file at `path`, which may be moved away."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file; one that is not there is fine."""
        ...

    def scratch(self, name: str) -> Path:
        """Where to write `name` before `put_file`; what an earlier attempt left there may be overwritten."""
        ...

    def close(self) -> None:
        """Let go of connections and temporary files."""
        ...


def open_destination(text: str, *, endpoint_url: str | None = None, log: Path | None = None) -> Destination:
    """The destination that an operator named; raises OperatorError when it cannot be used.

    `log` is the folder of the log itself, where nothing else may go: the miner tidies up there.
    """
    if text.startswith("s3://"):
        from streetvision.prediction_log.s3 import S3Destination

        parts = urlsplit(text)
        return S3Destination(parts.netloc, parts.path.strip("/"), endpoint_url=endpoint_url)
    if not text or "://" in text:
        raise ConfigError(f"{text or repr(text)} is neither a folder nor an s3://bucket/prefix address")
    if endpoint_url:
        raise ConfigError(f"--endpoint_url is for s3:// addresses, and {text} is a folder")
    folder = expanded(text)
    if log is not None and folder.resolve().is_relative_to(log.resolve()):
        raise ConfigError(f"{folder} is inside the log itself: name a folder elsewhere")
    return FolderDestination(folder)


class FolderDestination:
    """A folder on this machine; files are written beside their final name, flushed to the disk and renamed."""

    parallel = 4

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is not there."""
        self._folder = folder
        with self._sentences():
            folder.mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        return str(self._folder)

    def read(self, name: str) -> bytes | None:
        """See `Destination`."""
        with self._sentences():
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def sizes(self, folder: str) -> Mapping[str, int]:
        """See `Destination`."""
        with self._sentences():
            files = (path for path in (self._folder / folder).rglob("*") if not path.name.startswith("."))
            return {path.relative_to(self._folder).as_posix(): path.stat().st_size for path in files if path.is_file()}

    def put(self, name: str, data: bytes) -> None:
        """See `Destination`."""
        partial = self.scratch(name)
        with self._sentences():
            partial.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
        self.put_file(name, partial)

    def put_file(self, name: str, path: Path) -> None:
        """See `Destination`."""
        with self._sentences():
            _flush(path)
            path.replace(self._folder / name)
            _flush((self._folder / name).parent)

    def delete(self, name: str) -> None:
        """See `Destination`."""
        with self._sentences():
            (self._folder / name).unlink(missing_ok=True)

    def scratch(self, name: str) -> Path:
        """See `Destination`."""
        final = self._folder / name
        return final.with_name(f".{final.name}.partial")

    def close(self) -> None:
        """See `Destination`: nothing is held."""

    def _sentences(self) -> AbstractContextManager[None]:
        return disk_sentences(self._folder)


@contextmanager
def disk_sentences(folder: Path) -> Iterator[None]:
    """Turn what a file system refuses into a sentence about `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise OperatorError(
                f"the disk of {folder} is full: make room and run the same command again, it goes on where it stopped"
            ) from error
        raise OperatorError(f"cannot write to {folder}: {reason(error)}") from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
