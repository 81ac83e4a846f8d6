"""Changing a folder so that a crash, a full disk or a second command leaves either the old state or the new one."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streetvision.errors import OperatorError, reason

LOCK_FILE = ".lock"
STAGING = ".incoming-"
PATIENCE_S = 20.0
"""Longest wait for another command: it holds the lock for renames and deletions, not for copying or loading."""


@contextmanager
def sentences(doing: str) -> Iterator[None]:
    """Turn a failure of the disk into one sentence, such as `The model cannot be stored: ... (disk full)`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OperatorError(f"{doing} failed: the disk is full; free some space and try again.") from error
        where = f" ({error.filename})" if error.filename else ""
        raise OperatorError(f"{doing} failed: {reason(error)}{where}.") from error


@contextmanager
def exclusive(
    folder: Path,
    *,
    patience_s: float = PATIENCE_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the folder's lock; the kernel frees it when the process dies. OperatorError when another keeps it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = clock() + patience_s
        while not _try_lock(descriptor):
            if clock() >= deadline:
                raise OperatorError(f"Another streetvision command is changing {folder}; try again when it is done.")
            sleep(0.05)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A new folder inside `folder`, gone afterwards unless it was renamed; what killed commands left is swept first."""
    with exclusive(folder):
        _sweep(folder)
        place = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
        owner = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        place.chmod(0o755)
        yield place
    finally:
        os.close(owner)
        shutil.rmtree(place, ignore_errors=True)


def discard(folder: Path) -> None:
    """Make a folder disappear in one step; its files follow. Call it with the lock of the parent's parent held."""
    aside = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder.parent.parent))
    folder.rename(aside / folder.name)
    sync_folder(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a small file: after a power failure it holds the old content or the new one; text as UTF-8.

    A link stays and its file is replaced; into a device or a pipe, such as /dev/stdout, it is written as it is.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(data)
        return
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """os.write until all of it is written: on a disk that is nearly full one call writes a part and says so."""
    while data:
        written = os.write(descriptor, data)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data = data[written:]


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, and itself, to the disk."""
    for path in (*folder.rglob("*"), folder):
        sync_folder(path)


def sync_folder(path: Path) -> None:
    """Flush one file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Remove staging folders whose owners are dead: a living owner holds its folder's lock."""
    for place in folder.glob(f"{STAGING}*"):
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _try_lock(descriptor):
                shutil.rmtree(place, ignore_errors=True)
        finally:
            os.close(descriptor)
