"""JSON lines over a Unix-domain socket, within limits: what the control socket and the mocked chain's bridge share.

Every limit protects the process that serves: bytes in a line, seconds of silence, seconds that a peer may take to read
its reply, connections at once, and who may connect at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from loguru import logger

from streetvision.net.unix_socket import is_trusted, listen, peer_of

Message = Mapping[str, Any]


class NotAnObject(ValueError):
    """A line is not one JSON object; the message says so in a sentence's clause."""


class Peer:
    """The other end of a connection."""

    def __init__(self, writer: asyncio.StreamWriter, send_s: float) -> None:
        self._writer = writer
        self._send_s = send_s
        self.pid, self.uid = peer_of(writer.get_extra_info("socket"))

    async def send(self, message: Message) -> None:
        """Send one line; ConnectionError when the peer has gone or does not read."""
        self._writer.write(encoded(message))
        try:
            async with asyncio.timeout(self._send_s):
                await self._writer.drain()
        except TimeoutError:
            self._writer.transport.abort()
            raise ConnectionAbortedError(f"the peer read nothing for {self._send_s:g} s") from None

    async def close(self) -> None:
        """Send what is still to be sent, as long as the peer reads it, and end the connection."""
        self._writer.close()
        try:
            async with asyncio.timeout(self._send_s):
                await self._writer.wait_closed()
        except TimeoutError:
            self._writer.transport.abort()
        except asyncio.CancelledError:
            self._writer.transport.abort()
            raise
        except ConnectionError:
            return


class LineServer:
    """Serves one line after another of each connection to `answer`, which says whether the connection goes on.

    `goodbye` makes the message that ends a connection before its time from a sentence. `name` and `taken` are as in
    `unix_socket.listen`.
    """

    def __init__(
        self,
        path: Path,
        answer: Callable[[bytes, Peer], Awaitable[bool]],
        goodbye: Callable[[str], Message],
        *,
        name: str,
        taken: str,
        line_limit: int = 65_536,
        idle_s: float = 120.0,
        send_s: float = 5.0,
        max_connections: int = 16,
    ) -> None:
        self.path = path
        self._answer, self._goodbye = answer, goodbye
        self._name, self._taken = name, taken
        self._line_limit, self._idle_s, self._send_s = line_limit, idle_s, send_s
        self._max_connections = max_connections
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._admitted = 0

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._tasks)

    async def start(self) -> None:
        """Listen; OperatorError when the path cannot be used."""
        listener = listen(self.path, name=self._name, taken=self._taken)
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=self._line_limit)

    async def close(self) -> None:
        """Stop listening, end the connections and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None
        self.path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a server's callback runs in a task
        self._tasks.add(task)
        peer = Peer(writer, self._send_s)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await self._admit(reader, peer)
            with contextlib.suppress(asyncio.CancelledError):  # Python 3.11 logs a cancelled connection as a defect
                await peer.close()
        finally:
            self._tasks.discard(task)

    async def _admit(self, reader: asyncio.StreamReader, peer: Peer) -> None:
        if not is_trusted(peer.uid):
            logger.warning("{}: refused user {} (process {})", self._name, peer.uid, peer.pid)
            await peer.send(self._goodbye("only the user that runs this process may use its socket"))
        elif self._admitted >= self._max_connections:
            await peer.send(self._goodbye("too many connections"))
        else:
            self._admitted += 1
            try:
                await self._converse(reader, peer)
            finally:
                self._admitted -= 1

    async def _converse(self, reader: asyncio.StreamReader, peer: Peer) -> None:
        """Answer line after line until the peer ends, stays silent too long or sends too long a line."""
        going = True
        while going:
            try:
                line = await asyncio.wait_for(reader.readline(), self._idle_s)
            except TimeoutError:
                await peer.send(self._goodbye(f"silent for {self._idle_s:g} s"))
                return
            except ValueError:
                await peer.send(self._goodbye(f"a request may have at most {self._line_limit} bytes"))
                return
            going = bool(line) and await self._answer(line, peer)


def encoded(message: Message) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def parsed(line: bytes) -> dict[str, Any]:
    """The object that a request line holds; raises NotAnObject."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise NotAnObject("a request must be one line of JSON") from None
    if not isinstance(request, dict):
        raise NotAnObject("a request must be a JSON object")
    return request
