"""The log's image files under names that FiftyOne recognises, and copies of those that must outlive eviction.

The log names a file by its digest alone, and FiftyOne tells media by their suffix: so each image gets a symbolic link
with one, which costs nothing and breaks when the log evicts the file. A pinned picture is a hard link instead (a copy
on another file system): it stays until someone deletes it, and so do the labels' pictures.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from streetvision.base.disk import sentences, write_atomically
from streetvision.errors import OperatorError, reason

_SUFFIXES = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"), (b"RIFF", ".webp"))
_UNKNOWN = ".jpg"
"""What does not look like a picture is shown as a broken one."""


class PictureFolder:
    """`<folder>/ab/<sha256>.jpg`; methods raise OperatorError when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def link(self, sha256: str, image: Path) -> Path:
        """The name under which FiftyOne may open `image`; the same each time, whatever it points to now."""
        path = self._known(sha256) or self.folder / sha256[:2] / f"{sha256}{_suffix(image)}"
        if path.is_symlink() or not path.exists():
            self._replace(path, image, hard=False)
        return path

    def keep(self, sha256: str, jpeg: bytes) -> Path:
        """A picture that is in no log, as a file of its own."""
        path = self.folder / sha256[:2] / f"{sha256}.jpg"
        with sentences(f"Writing {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, jpeg)
        return path

    def pin(self, path: Path) -> bool:
        """Make a link from `link` a file of its own; False when its image is gone already."""
        if not path.is_symlink():
            return path.is_file()
        target = path.resolve()
        if not target.is_file():
            return False
        try:
            self._replace(path, target, hard=True)
        except FileNotFoundError:  # evicted at this very moment
            return False
        return True

    def census(self) -> tuple[int, int]:
        """How many pictures there are, and how many of them lead nowhere: those were evicted."""
        paths = [
            entry for part in _folders(self.folder) for entry in os.scandir(part) if not entry.name.startswith(".")
        ]
        return len(paths), sum(not entry.is_file() for entry in paths)

    def _known(self, sha256: str) -> Path | None:
        folder = self.folder / sha256[:2]
        names = (folder / f"{sha256}{suffix}" for _, suffix in _SUFFIXES)
        return next((path for path in names if path.is_symlink() or path.exists()), None)

    def _replace(self, path: Path, image: Path, *, hard: bool) -> None:
        """Put a link to `image`, or its bytes, at `path` in one step."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.unlink(missing_ok=True)
            if hard:
                _duplicate(image, temporary)
            else:
                temporary.symlink_to(os.path.relpath(image.resolve(), path.parent.resolve()))
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            if isinstance(error, FileNotFoundError):
                raise
            raise OperatorError(
                f"cannot write {path} ({reason(error)}): make room or correct the rights of {self.folder}"
            ) from error


def _folders(folder: Path) -> list[str]:
    return [entry.path for entry in os.scandir(folder) if entry.is_dir()] if folder.is_dir() else []


def _duplicate(image: Path, path: Path) -> None:
    """A hard link where the file system allows one, else a copy."""
    try:
        os.link(image, path)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(image, path)


def _suffix(image: Path) -> str:
    try:
        with image.open("rb") as file:
            head = file.read(12)
    except OSError:  # evicted since the row was read: the link will show it
        return _UNKNOWN
    return next((suffix for magic, suffix in _SUFFIXES if head.startswith(magic)), _UNKNOWN)
