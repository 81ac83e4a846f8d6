"""Why the log cannot be written, in words that are metric labels and in a sentence for the operator."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from streetvision.base.sqlite import NewerSchema
from streetvision.errors import OperatorError, reason

CAUSES = {
    "disk_full": "the disk is full: free space, or lower --log.max_gib",
    "read_only": "its folder cannot be written: check its owner and the mount",
    "locked": "another process holds it: end that one, or give each miner its own --state_dir",
    "corrupt": "the database is damaged: it is set aside and a new one begun",
    "newer_schema": "it was written by a newer version: upgrade streetvision, or move it away",
    "io": "reading or writing its files fails: check the disk",
    "defect": "a defect in the program: please report it with the traceback in this log",
}
"""Every cause with what the operator can do."""

_FULL_BELOW = 2**16
_DEFECTS = (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.DataError, sqlite3.NotSupportedError)
_BY_ERRNO = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
    errno.EWOULDBLOCK: "locked",
}
_BY_SQLITE = {
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_PERM: "read_only",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
}


@contextmanager
def database_sentences(
    name: str,
    file: Path,
    remedies: Mapping[str, str],
    failures: tuple[type[Exception], ...] = (OSError, sqlite3.Error),
    told: type[OperatorError] = OperatorError,
) -> Iterator[None]:
    """Turn those failures of a database into one sentence: its name and file, and the remedy by cause; not defects."""
    try:
        yield
    except failures as error:
        cause = cause_of(error, file.parent)
        if cause == "defect":
            raise
        words = remedies.get(cause, f"{reason(error)}; check the disk")
        raise told(f"{name} {file}: {words}") from error


def cause_of(error: Exception, folder: Path) -> str:
    """One of CAUSES. SQLite reports a full disk as an I/O error when it hits the shared index: so look at `folder`."""
    if isinstance(error, NewerSchema):
        return "newer_schema"
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0, "io")
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, _DEFECTS):
        return "defect"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BY_SQLITE:
        return _BY_SQLITE[code]
    return _state_of(folder)


def _state_of(folder: Path) -> str:
    try:
        state = os.statvfs(folder)
    except OSError as error:
        return _BY_ERRNO.get(error.errno or 0, "io")
    if state.f_bavail * state.f_frsize < _FULL_BELOW:
        return "disk_full"
    return "read_only" if state.f_flag & os.ST_RDONLY or not os.access(folder, os.W_OK) else "io"
