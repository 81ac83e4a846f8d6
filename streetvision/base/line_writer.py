"""A bounded queue of lines and the one thread that writes them: no caller waits for a terminal, a pipe or a disk."""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable

MAX_CHARACTERS = 2**20
"""Of waiting lines: hours of a miner's log, and little memory."""
RETRY_S = 1.0
"""After a failed write (a full disk, a closed pipe, a terminal that is gone)."""
_PIECE = select.PIPE_BUF
"""As much as a pipe that `poll` calls writable takes at once."""

Write = Callable[[bytes], int]
"""As os.write: how many bytes were taken, or OSError. May wait."""


class LineWriter:
    """`put` never waits and never fails. While nobody reads, the newest lines are dropped and counted.

    When reading resumes, `notice` makes the line that stands in their place from their number.
    """

    def __init__(
        self,
        write: Write,
        notice: Callable[[int], str],
        *,
        max_characters: int = MAX_CHARACTERS,
        retry_s: float = RETRY_S,
    ) -> None:
        self._write, self._notice = write, notice
        self._max_characters, self._retry_s = max_characters, retry_s
        self._lines: deque[tuple[str, int]] = deque()
        """With how many missing lines each stands for; 0 for a line of its own."""
        self._characters = self._missing = 0
        self._torn = self._closing = self._idle = False
        self._changed = threading.Condition()
        self.dropped = 0
        """Lines, so far."""
        self._thread = threading.Thread(target=self._run, name="log-lines", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Hand over one line, its newline included; from any thread."""
        with self._changed:
            # Once lines are missing, half the room must be free again: or every other line would be a notice.
            room = self._max_characters // (2 if self._missing else 1) - self._characters
            if len(line) > room or not self._thread.is_alive():
                self._missing += 1
                self.dropped += 1
                return
            self._tell_missing()
            self._append(line, 0)
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is written; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle and not self._lines, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Write what waits, as long as somebody reads, and stop; False when it was not all written in time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _append(self, line: str, stands_for: int) -> None:
        self._lines.append((line, stands_for))
        self._characters += len(line)
        self._idle = False

    def _tell_missing(self) -> None:
        if self._missing:
            self._append(self._notice(self._missing), self._missing)
            self._missing = 0

    def _run(self) -> None:
        while (item := self._next()) is not None:
            self._send(*item)

    def _next(self) -> tuple[str, int] | None:
        """The oldest line; waits for one. None when the writer is closed and all is written."""
        with self._changed:
            while not self._lines:
                self._tell_missing()
                if self._lines:
                    break
                self._idle = True
                self._changed.notify_all()
                if self._closing:
                    return None
                self._changed.wait()
            item = self._lines.popleft()
            self._characters -= len(item[0])
            self._idle = False
            return item

    def _send(self, line: str, stands_for: int) -> None:
        left = (b"\n" if self._torn else b"") + line.encode("utf-8", "backslashreplace")
        whole = len(left)
        try:
            while left:
                left = left[self._write(left) :]
        except OSError:
            self._torn = self._torn or len(left) < whole
            self._lose(stands_for)
        else:
            self._torn = False

    def _lose(self, stands_for: int) -> None:
        """Count a line that could not be written, and rest before the next."""
        with self._changed:
            self._missing += stands_for or 1
            self.dropped += not stands_for
            if self._closing:
                self.dropped += sum(not missing for _, missing in self._lines)
                self._lines.clear()
                self._characters = self._missing = 0
            else:
                self._changed.wait_for(lambda: self._closing, self._retry_s)


def writing_to(descriptor: int) -> Write:
    """Writes to a file, pipe, socket or terminal in pieces; waits until it takes them, whatever its mode."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)

    def write(data: bytes) -> int:
        poll.poll()
        try:
            return os.write(descriptor, data[:_PIECE])
        except BlockingIOError:
            time.sleep(0.05)
            return 0

    return write


def stop_blocking(descriptor: int) -> None:
    """From now on a write that would wait fails instead: for libraries that write without asking Python.

    A pipe or terminal is opened anew for that: its mode is shared with the shell that started us. Where that cannot
    be done all stays as it is.
    """
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(kind):
            os.set_blocking(descriptor, False)
        elif stat.S_ISFIFO(kind) or os.isatty(descriptor):
            fresh = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            os.dup2(fresh, descriptor)
            os.close(fresh)
    except OSError:
        return


def say_at_once(descriptor: int, text: str) -> None:
    """Write a short line if that is possible without waiting: for signal handlers."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    try:
        if poll.poll(0):
            os.write(descriptor, text.encode()[:_PIECE])
    except OSError:
        return
