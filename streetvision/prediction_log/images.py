"""Image files named by the SHA-256 of their content: `images/ab/cd/<sha256>`.

A file appears whole or not at all: it is written beside the others under a temporary name and renamed. Files are not
fsynced, so a killed process loses nothing and a power failure may cost the newest ones; the log compares sizes when it
opens and marks those that are not as they were written.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

_NAME = re.compile(r"[0-9a-f]{64}")


class ImageStore:
    """The files alone; which of them the log knows is the database's matter. Methods raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._temporary = folder / "tmp"

    def prepare(self) -> None:
        """Make the folders and remove what a killed writer left half written."""
        self._temporary.mkdir(parents=True, exist_ok=True)
        for leftover in self._temporary.iterdir():
            leftover.unlink()

    def path(self, sha256: str) -> Path:
        """Where the file of this digest is, or would be."""
        return self._folder / sha256[:2] / sha256[2:4] / sha256

    def put(self, sha256: str, data: bytes) -> None:
        """Write a file; one that is there already is replaced by the same bytes."""
        temporary, path = self._temporary / sha256, self.path(sha256)
        try:
            temporary.write_bytes(data)
            try:
                temporary.rename(path)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def intact(self, sha256: str) -> bool:
        """Whether a file holds what its name says; reads all of it."""
        with self.path(sha256).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256

    def remove(self, sha256: str) -> None:
        """Delete a file; one that is gone already is fine."""
        self.path(sha256).unlink(missing_ok=True)

    def listing(self, prefix: str) -> dict[str, os.stat_result]:
        """Every file whose digest starts with these two hex digits."""
        found: dict[str, os.stat_result] = {}
        folder = self._folder / prefix
        if not folder.is_dir():
            return found
        for inner in os.scandir(folder):
            if inner.is_dir(follow_symlinks=False):
                for entry in os.scandir(inner.path):
                    if _NAME.fullmatch(entry.name):
                        found[entry.name] = entry.stat(follow_symlinks=False)
        return found
