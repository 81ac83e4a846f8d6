"""Processes that the fork server starts, with as much of subprocess.Popen's face as tests of the miner use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

PATIENCE_S = 90.0
SERVER = Path(__file__).with_name("fork_server.py")


class Process(Protocol):
    """A running program; as subprocess.Popen."""

    pid: int

    def poll(self) -> int | None:
        """The exit code, None while it runs."""

    def wait(self, timeout: float) -> int:
        """The exit code, once there is one; subprocess.TimeoutExpired."""

    def send_signal(self, sig: int) -> None:
        """Send it unless the program has ended."""

    def kill(self) -> None:
        """SIGKILL."""


class ForkedProcess:
    """A child of the fork server."""

    def __init__(self, pid: int, end: Path) -> None:
        self.pid = pid
        self._end = end

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return int(self._end.read_text()) if self._end.exists() else None

    def wait(self, timeout: float) -> int:
        """The exit code; subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, sig: int) -> None:
        """Send it unless the program has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """Starts a Python program in the time of a fork."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        # One thread of OpenBLAS: a fork must not find another.
        environ = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        pipe, command = subprocess.PIPE, [sys.executable, str(SERVER)]
        self._server = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environ)

    def start(self, command: Sequence[str], *, output: Path, folder: Path, environ: Mapping[str, str]) -> ForkedProcess:
        """`python COMMAND` in `folder`; stdout and stderr are appended to `output`."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._count += 1
        end = self._folder / str(self._count)
        order = {"command": list(command), "output": str(output), "folder": str(folder), "end": str(end)}
        self._server.stdin.write(json.dumps(order | {"environ": dict(environ)}) + "\n")
        self._server.stdin.flush()
        return ForkedProcess(int(self._server.stdout.readline()), end)

    def close(self) -> None:
        """End the server."""
        with self._server:
            assert self._server.stdin is not None
            self._server.stdin.close()
            assert self._server.wait(PATIENCE_S) == 0
