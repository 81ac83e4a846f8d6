"""The step that a starting miner is at, told in a small file of the state folder from its first second on.

The file is locked while its miner starts: what a killed process leaves behind is not locked, and tells nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from loguru import logger

from streetvision.base.state_folder import make_state_folder
from streetvision.base.wording import duration
from streetvision.errors import OperatorError

FILE = "starting.json"
LIBRARIES = "loading libraries"
"""The first step of all."""
_WIDTH = 512
"""Bytes; written over in place, always as many, so that a reader sees one step or the next."""
_TRIES, _PAUSE_S = 20, 0.01
"""A reader holds the lock for an instant."""


@dataclass(frozen=True, slots=True)
class Starting:
    """Where a start is. Times are Unix seconds."""

    step: str
    since: float
    began: float
    pid: int

    def words(self, now: float) -> str:
        """`connecting to the chain, for 3 s (process 4711, started 9 s ago)`."""
        step, whole = (duration(max(0.0, now - moment)) for moment in (self.since, self.began))
        return f"{self.step}, for {step} (process {self.pid}, started {whole} ago)"


class StartSteps:
    """Tells the log and the file of each step as it begins. `close` it when the miner serves, or does not."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._clock = folder, clock
        self._began = clock()
        self._file: int | None = None
        self.current: Starting | None = None

    def begin(self, step: str) -> None:
        """Say it; OperatorError when another miner is starting in the folder, or there can be no such folder."""
        if self._file is None:
            make_state_folder(self._folder)
            self._file = self._opened()
        self.current = Starting(step, self._clock(), self._began, os.getpid())
        logger.info("starting: {}", step)
        self._write(self.current)

    def _write(self, current: Starting) -> None:
        if self._file is None:
            return
        try:
            os.pwrite(self._file, json.dumps(asdict(current)).encode().ljust(_WIDTH), 0)
        except OSError as error:
            _warn(error)

    def close(self) -> None:
        """The start is over: nothing is told any more. Safe to call twice."""
        self.current = None
        if self._file is not None:
            with suppress(OSError):  # unlocked, what is left of it tells nothing
                (self._folder / FILE).unlink()
            os.close(self._file)
            self._file = None

    def _opened(self) -> int | None:
        """The file, locked; None where there can be none. OperatorError while another start has it."""
        try:
            file = os.open(self._folder / FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            _warn(error)
            return None
        try:
            if _locked(file):
                return file
        except OSError as error:
            _warn(error)
            os.close(file)
            return None
        os.close(file)
        raise OperatorError(
            f"another miner is starting in {self._folder}: stop it, or name another state folder with --state_dir"
        )


def _locked(file: int) -> bool:
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        else:
            return True
    return False


def _warn(error: OSError) -> None:
    logger.warning("starting: `streetvision status` cannot tell of this step ({})", error.strerror)


def starting_in(folder: Path) -> Starting | None:
    """What the miner that is starting in a state folder does now; None when none is."""
    try:
        file = os.open(folder / FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _parsed(os.pread(file, _WIDTH, 0))
    except OSError:
        return None
    finally:
        os.close(file)
    return None


def _parsed(text: bytes) -> Starting:
    """The step as it was written; of another version's file, or one just made, that it starts."""
    try:
        fields = json.loads(text)
        return Starting(str(fields["step"]), float(fields["since"]), float(fields["began"]), int(fields["pid"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        now = time.time()
        return Starting("at its first step", now, now, 0)
