"""Unix-domain sockets for this user alone: one process listens at a path, and each end can tell whose the other is."""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Protocol

from streetvision.errors import OperatorError, reason

PATH_LIMIT = 100
"""Bytes in the socket's path; Linux takes 107, others a few less."""

ELSEWHERE = "name another state folder with --state_dir"

_CREDENTIALS = struct.Struct("iII")
"""Linux's `struct ucred`: pid, uid, gid."""


class _HasOptions(Protocol):
    def getsockopt(self, level: int, option: int, length: int, /) -> bytes: ...


def listen(path: Path, *, name: str, taken: str) -> socket.socket:
    """A listening socket of mode 0600; a stale one from a dead process is replaced. OperatorError when it cannot be.

    `name` says what listens ("mock chain"), `taken` is the sentence for when another process listens there already.
    """
    check_length(path, name)
    try:
        _make_way(path, name, taken)
        return _bound(path)
    except OSError as error:
        raise OperatorError(f"The {name} cannot listen at {path} ({reason(error)}): {ELSEWHERE}.") from error


def check_length(path: Path, name: str) -> None:
    """Raise OperatorError when the system could not take this path for a socket."""
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise OperatorError(
            f"The {name}'s socket path {path} is too long for a Unix socket (over {PATH_LIMIT} bytes): "
            "name a shorter state folder with --state_dir."
        )


def peer_of(connection: _HasOptions) -> tuple[int | None, int | None]:
    """Process id and user id at the other end, as the kernel noted them; None where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None, None
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return pid, uid


def is_trusted(uid: int | None) -> bool:
    """Whether this user may steer our process: ourselves and root. Where the system does not tell, the mode decides."""
    return uid is None or uid in (os.geteuid(), 0)


def _make_way(path: Path, name: str, taken: str) -> None:
    """Remove a dead process's socket."""
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise OperatorError(f"The {name} cannot listen at {path}, which is not a socket: {ELSEWHERE}.")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)
        else:
            raise OperatorError(taken)


def _bound(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener
