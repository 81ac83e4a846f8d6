"""The folder for what a miner keeps between runs: this user's, and one miner's at a time."""

from __future__ import annotations

import fcntl
import os
import stat
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


WORK = "miner"
MOCK_SOCKET = "mock.sock"
"""Name of the mocked chain's socket in the state folder."""
ANOTHER = "stop it, or name another state folder with --state_dir"


def require_folder(folder: Path) -> None:
    """OperatorError when something else than a folder is there; what is not there may be made."""
    if folder.exists() and not folder.is_dir():
        raise OperatorError(f"{folder} is no folder: name the state folder with --state_dir")


def make_state_folder(folder: Path, setting: str = "--state_dir") -> None:
    """Make it for this user alone, unless it is there; OperatorError that says which setting names another."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(
            f"the state folder {folder} cannot be made ({reason(error)}): name another with {setting}"
        ) from error


@contextmanager
def one_miner(folder: Path) -> Iterator[None]:
    """Keep a second miner out of the state folder, until the process ends or leaves the context.

    An existing folder keeps its mode: it may be one that others rightly read. The sockets in it have their own.
    """
    from loguru import logger  # a GPU box, which takes the locks alone, has none

    make_state_folder(folder)
    if stat.S_IMODE(folder.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        logger.warning("state: other users may write in {}; consider `chmod 700 {}`", folder, folder)
    with only_one(folder, WORK, remedy=ANOTHER):
        yield


def require_no_miner(folder: Path) -> None:
    """OperatorError while a miner runs in the folder; without touching its lock, which `one_miner` takes later."""
    if lock_holder(folder / f"{WORK}.lock") is not None:
        raise OperatorError(f"another {WORK} is running in {folder}: {ANOTHER}")


def lock_holder(lock: Path, table: Path = Path("/proc/locks")) -> int | None:
    """The process that holds this file's lock, found without touching the lock; None when nobody does."""
    try:
        inode, lines = lock.stat(), table.read_text().splitlines()
    except OSError:
        return None
    place = f"{os.major(inode.st_dev):02x}:{os.minor(inode.st_dev):02x}:{inode.st_ino}"
    for line in lines:
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == place:
            return int(fields[4])
    return None
