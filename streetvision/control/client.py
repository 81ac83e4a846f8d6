"""The operator's end of the control socket: one request, its progress, its result. Synchronous, as commands are."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from streetvision.base.start_steps import Starting, starting_in
from streetvision.base.state_folder import WORK, lock_holder
from streetvision.errors import OperatorError, reason
from streetvision.net.unix_socket import PATH_LIMIT, is_trusted, peer_of

SOCKET_NAME = "control.sock"
"""In the state folder."""

REPLY_LIMIT = 4 << 20
"""Bytes in one line of a reply."""

SILENCE_S = 30.0
"""The server repeats itself every two seconds: a miner that says nothing for so long is stuck."""

ProgressFields = Mapping[str, Any]


class MinerStarting(OperatorError):
    """The miner of the state folder answers nothing yet."""

    def __init__(self, folder: Path, starting: Starting) -> None:
        super().__init__(f"the miner in {folder} is starting: {starting.words(time.time())}")
        self.starting = starting


class NotRunning(OperatorError):
    """No miner answers in the state folder: none was started, or it is stopping."""


def call(
    path: Path,
    op: str,
    args: Mapping[str, Any] | None = None,
    on_progress: Callable[[ProgressFields], None] = lambda _: None,
    *,
    silence_s: float = SILENCE_S,
) -> dict[str, Any]:
    """Carry out `op` in the miner that listens at `path`; returns its result.

    Raises OperatorError with one sentence: no miner runs (NotRunning), it is starting (MinerStarting), it belongs to
    another user, it is stuck or ended meanwhile, or why it refused or failed. A call that is interrupted does not stop
    the operation.
    """
    with _connection(path, silence_s) as connection:
        for message in _conversation(connection, path, {"op": op, "args": dict(args or {})}):
            event = message.pop("event", None)
            if event == "progress":
                on_progress(message)
            elif event == "done":
                return _result(message, path)
            else:
                raise OperatorError(str(message.get("message", _babble(path))))
    raise OperatorError(
        "the miner ended before it had answered: its log says more, and when it runs again so does "
        "`streetvision models status`"
    )


@contextmanager
def _connection(path: Path, silence_s: float) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(silence_s)
        try:
            if len(os.fsencode(path)) > PATH_LIMIT:
                raise FileNotFoundError
            connection.connect(os.fspath(path))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise _nobody(path.parent) from None
        except PermissionError:
            raise OperatorError(f"{path} belongs to another user: run this command as the user of the miner") from None
        except (TimeoutError, BlockingIOError):
            raise OperatorError(_stuck(path, silence_s)) from None
        except OSError as error:
            raise OperatorError(f"the miner cannot be reached at {path} ({reason(error)})") from error
        if os.geteuid() != 0 and not is_trusted(peer_of(connection)[1]):
            raise OperatorError(f"a process of another user listens at {path}: it is not your miner")
        yield connection


def _nobody(folder: Path) -> OperatorError:
    """Why nothing listens in a state folder."""
    if (starting := starting_in(folder)) is not None:
        return MinerStarting(folder, starting)
    if (holder := lock_holder(folder / f"{WORK}.lock")) is not None:
        return NotRunning(f"the miner in {folder} (process {holder}) is stopping: wait until it has ended")
    return NotRunning(f"no miner runs with the state folder {folder}: start it, or name its folder with --state_dir")


def _conversation(connection: socket.socket, path: Path, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Send the request; every line that comes back, until the miner ends the connection."""
    with suppress(BrokenPipeError, ConnectionResetError):  # it said why before it ended the connection
        connection.sendall(json.dumps(request).encode() + b"\n")
    try:
        with connection.makefile("rb") as replies:
            while line := replies.readline(REPLY_LIMIT):
                yield _parsed(line, path)
    except TimeoutError:
        raise OperatorError(_stuck(path, connection.gettimeout() or 0.0)) from None
    except ConnectionError:
        return


def _parsed(line: bytes, path: Path) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise OperatorError(_babble(path)) from None
    if not isinstance(message, dict):
        raise OperatorError(_babble(path))
    return message


def _result(message: Mapping[str, Any], path: Path) -> dict[str, Any]:
    result = message.get("result")
    if not isinstance(result, dict):
        raise OperatorError(_babble(path))
    return result


def _stuck(path: Path, seconds: float) -> str:
    return f"the miner at {path} said nothing for {seconds:g} s: its log says more"


def _babble(path: Path) -> str:
    return f"what listens at {path} does not answer as a miner of this version: restart the miner"
