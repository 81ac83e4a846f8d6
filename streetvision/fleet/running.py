"""A miner's process as its keeper sees it: started here, or found running because an earlier fleet had started it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from streetvision.base.start_steps import starting_in
from streetvision.base.state_folder import WORK, lock_holder
from streetvision.errors import OperatorError, reason
from streetvision.fleet.member import Member, command, environment, hand_over

LONGEST_LOG = 64 << 20
"""Bytes; then the log becomes `miner.log.1`, and the former one goes."""


class Running:
    """One process; `gone` when it has ended."""

    def __init__(self, pid: int, process: subprocess.Popen[bytes] | None = None) -> None:
        """Without `process` it is no child of ours: its exit code is not known."""
        self.pid = pid
        self._process = process
        self._descriptor = os.pidfd_open(pid)
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._descriptor, self._end)

    @property
    def is_adopted(self) -> bool:
        """Whether somebody else started it."""
        return self._process is None

    async def gone(self) -> int | None:
        """Wait for its end: the exit code, negative after a signal; None where that is not known."""
        await self._ended.wait()
        return None if self._process is None else self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it, unless it has ended."""
        if not self._ended.is_set():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._ended.set()


def start(member: Member) -> Running:
    """Start its miner in a session of its own: what a terminal or a fleet's end does to us does not reach it.

    OperatorError when its state folder cannot be used.
    """
    handed = hand_over(member)
    try:
        turn_log(member.log, most=LONGEST_LOG)
        with member.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and entry point
                command(handed), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=member.folder, env=environment(), start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise OperatorError(f"{member.name} cannot be started in {member.folder} ({reason(error)})") from error
    return Running(process.pid, process)


def adopt(member: Member) -> Running | None:
    """The miner that runs in its state folder already; None when none does."""
    pid = holder(member)
    if pid is None:
        return None
    try:
        running = Running(pid)
    except ProcessLookupError:
        return None
    return running if holder(member) == pid else None


def holder(member: Member) -> int | None:
    """The process that works in its state folder, or is about to: it holds the lock only some steps into its start."""
    pid = lock_holder(member.folder / f"{WORK}.lock")
    if pid is None and (starting := starting_in(member.folder)) is not None:
        pid = starting.pid or None
    return pid


def is_ready(member: Member, pid: int) -> bool:
    """Whether the miner `pid` has started: it holds its folder and is at no step of its start any more."""
    return holder(member) == pid and starting_in(member.folder) is None


def log_size(member: Member) -> int:
    """Bytes; 0 where there is none."""
    return member.log.stat().st_size if member.log.exists() else 0


def turn_log(log: Path, *, most: int) -> None:
    """Set a log aside that has grown beyond `most` bytes; its writer keeps it open, so it is emptied in place."""
    if not log.exists() or log.stat().st_size <= most:
        return
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
