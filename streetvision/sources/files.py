"""Reading the files of a folder that somebody else filled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streetvision.engine.decode import DecodeLimits
from streetvision.errors import reason
from streetvision.sources.source import SourceError, Unusable

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif"})
"""Names that claim to be pictures; those that the miner cannot read are counted as unusable, not passed over."""


def read_picture(folder: Path, name: str) -> bytes | Unusable:
    """The bytes of a file below `folder`, or why there are none; nothing outside of it is ever read."""
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            return Unusable(name, "the file lies outside the folder")
        if not path.is_file():
            return Unusable(name, "the file does not exist")
        if path.stat().st_size > DecodeLimits().max_bytes:
            return Unusable(name, "the file is too large")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        return Unusable(name, f"the file cannot be read ({reason(error)})")


def picture_names(folder: Path) -> list[str]:
    """Names of all picture files below `folder`, relative to it, sorted; hidden ones and links to folders left out."""
    return sorted(_walk(folder, folder))


def _walk(folder: Path, root: Path) -> Iterator[str]:
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise SourceError(f"{folder} cannot be read ({reason(error)}): correct its rights.") from error
    for path in entries:
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, root)
        elif path.suffix.lower() in PICTURE_SUFFIXES:
            yield path.relative_to(root).as_posix()
