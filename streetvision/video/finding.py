"""From what an operator names to the videos that are meant: a file, a folder of files, s3://bucket/key or a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streetvision.base.paths import expanded
from streetvision.errors import reason
from streetvision.video.reading import VideoError
from streetvision.video.record import Identity

S3 = "s3://"
SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"}
    | {".mjpeg", ".mjpg", ".h264", ".264", ".hevc", ".265", ".ogv", ".dav"}
)
"""What counts as a video in a folder; a file that is named itself may have any name."""


class Video(Protocol):
    """One video that can be read."""

    @property
    def identity(self) -> Identity:
        """Where it lies and in which state."""
        ...

    def local(self) -> AbstractContextManager[Path]:
        """A file on this machine for as long as it is needed."""
        ...


@dataclass(frozen=True, slots=True)
class LocalVideo:
    """A file on this machine."""

    path: Path
    identity: Identity

    @contextmanager
    def local(self) -> Iterator[Path]:
        """The file itself."""
        yield self.path


@dataclass(frozen=True, slots=True)
class Found:
    """What one name stands for."""

    videos: list[Video]
    others: int = 0
    """Files of the folder that are no videos, by their names."""


def find(text: str, scratch: Path) -> Found:
    """The videos under a name; VideoError with one sentence. `scratch` is a folder for copies of S3's objects."""
    if text.startswith(S3):
        from streetvision.video.s3 import find_objects

        return find_objects(text, scratch)
    path = expanded(text)
    if path.is_dir():
        return _in_folder(path)
    if not path.exists():
        raise VideoError(f"there is no such file: {text}")
    return Found([local_video(path)])


def local_video(path: Path) -> LocalVideo:
    """A file by its path; VideoError when it cannot be looked at."""
    try:
        path = path.resolve()
        state = path.stat()
    except OSError as error:
        raise VideoError(f"{path} cannot be read ({reason(error)}): correct its rights.") from error
    if not path.is_file():
        raise VideoError(f"{path} is no file: name a video.")
    return LocalVideo(path, Identity(str(path), state.st_size, str(state.st_mtime_ns)))


def _in_folder(folder: Path) -> Found:
    try:
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    except OSError as error:
        raise VideoError(f"{folder} cannot be read ({reason(error)}): correct its rights.") from error
    videos = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not videos:
        raise VideoError(f"{folder} holds no file with the name of a video, such as .mp4: name the files themselves.")
    return Found([local_video(path) for path in videos], len(files) - len(videos))


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
