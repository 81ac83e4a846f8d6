"""The running miner's door for its operator: a Unix-domain socket of mode 0600 in the state folder.

One request a connection, one JSON object a line:

    {"op": "swap", "args": {"version": "1.2.0"}}

The replies are any number of progress lines, repeated while nothing new happens so that the client knows the miner is
alive, and one last line:

    {"event": "progress", ...}
    {"event": "done", "result": {...}}      or      {"event": "error", "message": "one sentence"}

An operation belongs to the server and not to its connection: it goes on when its client goes away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loguru import logger

from streetvision.control.feed import Feed
from streetvision.errors import OperatorError
from streetvision.net.line_server import LineServer, Message, NotAnObject, Peer, parsed

NAME = "control socket"
ALIVE_S = 2.0
"""Seconds between two lines of an operation at most."""

CLOSE_S = 2.0
"""Longest wait for operations that are cancelled when the miner ends."""

Progress = Callable[[Mapping[str, Any]], None]
Handler = Callable[[Mapping[str, Any], Progress], Awaitable[Mapping[str, Any]]]
"""Carries out an operation: its arguments, and what to tell of its progress, from any thread; raises OperatorError."""


def taken(path: Path) -> str:
    """The sentence for a second miner."""
    return f"Another miner runs in the state folder {path.parent}: stop it, or name another with --state_dir."


class ControlServer:
    """Serves `handlers`, by operation name, at `path`. Start it last and close it first."""

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        *,
        idle_s: float = 10.0,
        alive_s: float = ALIVE_S,
        send_s: float = 5.0,
        max_connections: int = 16,
    ) -> None:
        """A client may be silent for `idle_s` before its request, and may take `send_s` to read a reply."""
        self.path = path
        self._handlers = dict(handlers)
        self._alive_s = alive_s
        self._operations: set[asyncio.Task[Message]] = set()
        self._waiting: set[asyncio.Task[Any]] = set()
        self._lines = LineServer(
            path,
            self._answer,
            failure,
            name=NAME,
            taken=taken(path),
            line_limit=16_384,
            idle_s=idle_s,
            send_s=send_s,
            max_connections=max_connections,
        )

    async def start(self) -> None:
        """Listen; OperatorError when the path cannot be used or another miner listens there."""
        await self._lines.start()

    async def close(self) -> None:
        """Cancel the operations, tell their clients, and remove the socket."""
        for operation in self._operations:
            operation.cancel()
        if ending := self._operations | self._waiting:
            await asyncio.wait(ending, timeout=CLOSE_S)
        await self._lines.close()

    async def _answer(self, line: bytes, peer: Peer) -> bool:
        try:
            op, arguments = self._read(line)
        except NotAnObject as error:
            await peer.send(failure(str(error)))
            return False
        feed = Feed(asyncio.get_running_loop())
        operation = asyncio.create_task(self._carry_out(op, arguments, peer, feed), name=f"control-{op}")
        self._operations.add(operation)
        operation.add_done_callback(self._operations.discard)
        with self._awaited():
            async for progress in feed.follow(operation, self._alive_s):
                await peer.send({"event": "progress", **progress})
            await peer.send(operation.result())
        return False

    @contextmanager
    def _awaited(self) -> Iterator[None]:
        """Let `close` wait until this connection has sent the last line of its operation."""
        connection = asyncio.current_task()
        assert connection is not None  # noqa: S101 - called in a connection's task
        self._waiting.add(connection)
        try:
            yield
        finally:
            self._waiting.discard(connection)

    def _read(self, line: bytes) -> tuple[str, Mapping[str, Any]]:
        request = parsed(line)
        op, arguments = request.get("op"), request.get("args", {})
        if not isinstance(op, str) or op not in self._handlers:
            known = ", ".join(sorted(self._handlers))
            raise NotAnObject(
                f"unknown operation; known are {known}: restart the miner if the command is newer than it"
            )
        if not isinstance(arguments, dict):
            raise NotAnObject("`args` must be an object")
        return op, arguments

    async def _carry_out(self, op: str, arguments: Mapping[str, Any], peer: Peer, feed: Feed) -> Message:
        """The last line of the reply. Runs as a task of its own: a connection that ends takes nothing with it."""
        logger.debug("control: {} {} for process {}", op, dict(arguments), peer.pid)
        try:
            return {"event": "done", "result": await self._handlers[op](arguments, feed.tell)}
        except OperatorError as error:
            logger.warning("control: {} {} failed: {}", op, dict(arguments), error)
            return failure(str(error))
        except asyncio.CancelledError:
            return failure("the miner is shutting down")
        except Exception as error:  # noqa: BLE001 - a defect in one operation must not end the miner
            logger.exception("control: {} failed", op)
            return failure(f"the miner could not do this ({type(error).__name__}: {error}); its log says more")


def failure(sentence: str) -> Message:
    """The last line of a reply that says why nothing was done."""
    return {"event": "error", "message": sentence}
