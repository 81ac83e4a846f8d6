"""Ray on this machine: started for the models alone, with bounded memory, on loopback; one process holds all of it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from streetvision.base.state_folder import make_state_folder
from streetvision.errors import OperatorError, reason

FOLDER, PID_FILE, LOG_FILE = "ray", "head.pid", "head.log"
HEAD_WORDS = b"ray.scripts.scripts\0start"
"""In the command line of a head."""
START_SECONDS, STOP_SECONDS = 90.0, 10.0
NOT_INSTALLED = "Ray is not installed: pip install 'streetvision[ray]', or set --backend embedded"
ENVIRONMENT = {
    # a request goes to its replica in one message of gRPC, with no object in Ray's store and no thread in between
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(2**28),
    "RAY_USAGE_STATS_ENABLED": "0",
    # whoever has no token is let in nowhere; Ray's ports listen on all addresses
    "RAY_AUTH_MODE": "token",
}
TOKEN_FILE = Path("~/.ray/auth_token")
"""Ray's own place for the token of this user's clusters."""


CURRENT = Path("/tmp/ray/ray_current_cluster")  # noqa: S108 - Ray's own file
"""Where Ray notes the cluster that was started last on this machine."""
RAY_COMMAND = (sys.executable, "-m", "ray.scripts.scripts")


def prepare_environment() -> None:
    """Before Ray is imported: what it reads once."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@dataclass(frozen=True, slots=True)
class LocalRay:
    """A head node of ours on this machine."""

    folder: Path
    """Of its pid and log: `ray/` in the state folder."""
    host: str = "127.0.0.2"
    """Address that it listens on: loopback, since Ray lets whoever reaches it run programs. Drivers take 127.0.0.1 for
    the machine's own address and do not find it."""
    port: int = 6379
    object_store_mib: int = 128
    dashboard_port: int = 8265

    @property
    def address(self) -> str:
        """Where drivers and other nodes find it."""
        return f"{self.host}:{self.port}"

    @property
    def dashboard(self) -> str:
        """Its page."""
        return f"http://127.0.0.1:{self.dashboard_port}"

    @property
    def pid(self) -> int | None:
        """Of the process that holds all others; None while it does not run."""
        try:
            pid = int((self.folder / PID_FILE).read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if HEAD_WORDS in command else None

    def up(self, sleep: Callable[[float], None] = time.sleep) -> bool:
        """Start it and wait until it listens; False when it ran already. Raises OperatorError."""
        require_ray()
        running = self.pid is not None
        if _listens(self.host, self.port):
            if running:
                return False
            raise OperatorError(f"port {self.port} is taken: stop what listens there, or set --ray.port")
        process = None if running else self._begin()  # another process may have begun it, and it does not listen yet
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self.host, self.port):
            ended = self.pid is None if process is None else process.poll() is not None
            if ended or time.monotonic() > deadline:
                if process is not None:
                    self.down()
                raise OperatorError(f"Ray did not start: read {self.folder / LOG_FILE}")
            sleep(0.2)
        return process is not None

    def _begin(self) -> subprocess.Popen[bytes]:
        make_state_folder(self.folder)
        self._make_token()
        process = self._spawn()
        (self.folder / PID_FILE).write_text(str(process.pid))
        return process

    def down(self, sleep: Callable[[float], None] = time.sleep) -> bool:
        """Stop it and all that runs in it; False when it did not run."""
        pid = self.pid
        if pid is None:
            return False
        os.kill(pid, signal.SIGTERM)
        if not self._ends(pid, sleep):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # it leads a group of its own
            if not self._ends(pid, sleep):
                raise OperatorError(f"process {pid} does not end: end it with kill -9 {pid}")
        (self.folder / PID_FILE).unlink(missing_ok=True)
        self._forget()
        return True

    def _forget(self) -> None:
        """As `ray stop` does: a program that names no cluster would look for this one."""
        with suppress(OSError):
            if CURRENT.read_text().strip() == self.address:
                CURRENT.unlink()

    def _ends(self, pid: int, sleep: Callable[[float], None]) -> bool:
        deadline = time.monotonic() + STOP_SECONDS
        while self.pid is not None and not _is_zombie(pid):
            if time.monotonic() > deadline:
                return False
            sleep(0.1)
        return True

    def _make_token(self) -> None:
        """Let Ray make this user's token unless there is one."""
        if {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys() or TOKEN_FILE.expanduser().exists():
            return
        command = [*RAY_COMMAND, "get-auth-token", "--generate"]
        done = subprocess.run(command, capture_output=True, check=False, env=_environment())  # noqa: S603 - our own
        if done.returncode:
            raise OperatorError(f"Ray cannot make its token: see that {TOKEN_FILE} can be written")

    def _spawn(self) -> subprocess.Popen[bytes]:
        options = [
            *("--head", "--block", f"--node-ip-address={self.host}", f"--port={self.port}"),
            *(f"--object-store-memory={self.object_store_mib * 2**20}", "--disable-usage-stats"),
            *("--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard_port}"),
        ]
        try:
            with (self.folder / LOG_FILE).open("wb") as log:
                return subprocess.Popen(  # noqa: S603 - our own interpreter
                    [*RAY_COMMAND, "start", *options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=_environment(),
                )
        except OSError as error:
            raise OperatorError(
                f"Ray cannot be started ({reason(error)}): see that {self.folder} is writable"
            ) from error


def _environment() -> dict[str, str]:
    return {**ENVIRONMENT, **os.environ}


def require_ray() -> None:
    """OperatorError where the extra is not installed."""
    if find_spec("ray") is None:
        raise OperatorError(NOT_INSTALLED)


def connect(address: str, *, start: Mapping[str, Any] | None = None) -> str:
    """Make this process a driver of the cluster at `address`; returns its dashboard's link, or nothing. Raises what
    Ray raises.

    `start` are LocalRay's fields: it is started first where nothing listens yet.
    """
    import ray

    if start is not None:
        if not _listens(*_place(address)):
            LocalRay(**{**start, "folder": Path(start["folder"])}).up()
    elif not _listens(*_place(address), 3.0):
        raise ConnectionError(f"nothing listens at {address}")  # Ray itself would try for half a minute
    context = ray.init(address=address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    return f"http://{context.dashboard_url}" if context.dashboard_url else ""


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def _listens(host: str, port: int, seconds: float = 0.5) -> bool:
    with suppress(OSError), socket.create_connection((host, port), seconds):
        return True
    return False


def _is_zombie(pid: int) -> bool:
    """Whether it has ended and its parent, perhaps this process, has not asked after it."""
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False
