"""The folder for what a miner keeps between runs: this user's, and one miner's at a time."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loguru import logger

from streetvision.errors import OperatorError, reason
from streetvision.locking import only_one

WORK = "miner"


def make_state_folder(folder: Path) -> None:
    """Make it for this user alone, unless it is there; raises OperatorError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(
            f"the state folder {folder} cannot be made ({reason(error)}): name another with --state_dir"
        ) from error


@contextmanager
def one_miner(folder: Path) -> Iterator[None]:
    """Keep a second miner out of the state folder, until the process ends or leaves the context.

    An existing folder keeps its mode: it may be one that others rightly read. The sockets in it have their own.
    """
    make_state_folder(folder)
    if stat.S_IMODE(folder.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        logger.warning("state: other users may write in {}; consider `chmod 700 {}`", folder, folder)
    with only_one(folder, WORK, remedy="stop it, or name another state folder with --state_dir"):
        yield
