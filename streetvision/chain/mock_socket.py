"""The Unix-domain socket at which the mocked chain listens: this user's alone, and one chain at a path."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from streetvision.errors import OperatorError

PATH_LIMIT = 100
"""Bytes in the socket's path; Linux takes 107, others a few less."""

ELSEWHERE = "name another state folder with --state_dir"


def listen(path: Path) -> socket.socket:
    """A listening socket of mode 0600; a stale one from a dead process is replaced. OperatorError when it cannot be."""
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise OperatorError(
            f"The mock chain's socket path {path} is too long for a Unix socket (over {PATH_LIMIT} bytes): "
            "name a shorter state folder with --state_dir."
        )
    try:
        _make_way(path)
        return _bound(path)
    except OSError as error:
        raise OperatorError(
            f"The mock chain cannot listen at {path} ({error.strerror or error}): {ELSEWHERE}."
        ) from error


def _make_way(path: Path) -> None:
    """Remove a dead process's socket."""
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise OperatorError(f"The mock chain cannot listen at {path}, which is not a socket: {ELSEWHERE}.")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)
        else:
            raise OperatorError(f"Another process serves a mock chain at {path}: stop it, or {ELSEWHERE}.")


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
