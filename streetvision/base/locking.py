"""One at a time, whichever process: a lock that ends with its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streetvision.errors import OperatorError, reason


@contextmanager
def only_one(folder: Path, work: str, remedy: str = "let it finish, or end it") -> Iterator[None]:
    """Keep a second one doing `work` (a word) in `folder` out; raises OperatorError at once while there is one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / f"{work}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OperatorError(
            f"cannot write in {folder} ({reason(error)}): correct its rights or name another"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperatorError(f"another {work} is running in {folder}: {remedy}") from None
        except OSError as error:
            raise OperatorError(f"cannot lock {folder} ({reason(error)}): use a folder on a local disk") from error
        yield
    finally:
        os.close(lock)
