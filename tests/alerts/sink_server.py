"""A real server on loopback that answers as it is told, and alerts to send it."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from streetvision.alerts.alert import Alert, AlertItem, Change
from streetvision.alerts.sinks.delivery import ONCE, Patience, deliver
from streetvision.alerts.sinks.sink import Sink
from streetvision.monitor.finding import Finding, Severity
from streetvision.settings.secret import Secret

Speak = Callable[[asyncio.StreamWriter, asyncio.Event], Awaitable[None]]
"""How a server replies; the event is set when the test is over."""


def item(change: Change = Change.RAISED, title: str = "the port is closed", **changes: Any) -> AlertItem:
    times = {name: changes.pop(name) for name in ("began", "at") if name in changes}
    found = Finding("endpoint_unreachable", Severity.CRITICAL, title, ("Nobody answers.",), "Open it.")
    return replace(AlertItem(change, replace(found, **changes), 1e9, 1e9 + 7200), **times)


def alert(*items: AlertItem, **changes: Any) -> Alert:
    return replace(Alert("alert", 1e9 + 7200, "mine", "5Hot", 72, items or (item(),)), **changes)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n" + b'{"ok":true}'


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@dataclass
class Server:
    """Answers each request with the next of `replies` (the last for ever) and keeps what it was asked."""

    replies: list[bytes | Speak]
    port: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    running: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/hook/SECRET-PATH-0123?key=SECRET-QUERY") -> Secret:
        return Secret(f"http://127.0.0.1:{self.port}{path}")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append((first, headers, body))
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            if callable(reply):
                await reply(writer, self.over)
            else:
                writer.write(reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.requests]


@asynccontextmanager
async def serving(*replies: bytes | Speak) -> AsyncIterator[Server]:
    server = Server(list(replies) or [OK])
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        server.over.set()
        await asyncio.gather(*server.running, return_exceptions=True)


async def drip(writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
    """Headers that never end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not over.is_set():
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
    """A body without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while not over.is_set():
        writer.write(b"x" * 65536)
        await writer.drain()


async def silence(writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
    await over.wait()


async def hang_up(writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
    writer.write(b"HTTP/1.1 2")


async def sent(sink: Sink, patience: Patience = ONCE) -> list[float]:
    """Deliver one alert; the pauses that were made."""
    naps: list[float] = []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)

    await deliver(sink, alert(), patience, sleep=sleep, rng=random.Random(1))
    return naps


def wait_for(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
