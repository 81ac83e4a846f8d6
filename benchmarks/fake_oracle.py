"""A chat completions API on loopback that charges, and misbehaves as it is told: for benchmarks and tests.

It charges for a question once the whole of it has arrived, whatever becomes of the answer, as those that take money do.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Body = Mapping[str, Any]
Behaviour = Callable[["FakeOracle", Body, asyncio.StreamWriter], Awaitable[None]]
"""Writes the reply to one question that has arrived and says nothing of charges."""
MODEL = "fake-vl"
SAYS: Body = {"objects": ["cone"], "reason": "cones close a lane", "roadwork": True, "certainty": 0.9}
TOKENS = (1000, 50)


def reply(status: str, body: bytes, *headers: str) -> bytes:
    """A whole HTTP response."""
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def completion(text: str, *, finish: str = "stop", tokens: tuple[int, int] | None = TOKENS, **message: str) -> bytes:
    """A completion with this text."""
    usage = {} if tokens is None else {"usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}}
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    return json.dumps({"object": "chat.completion", "model": MODEL, "choices": [choice], **usage}).encode()


async def answer(oracle: FakeOracle, body: Body, writer: asyncio.StreamWriter) -> None:
    """As a good server does."""
    writer.write(reply("200 OK", completion(json.dumps(oracle.says(picture_of(body))))))


def saying(text: str, **kwargs: Any) -> Behaviour:  # noqa: ANN401 - of `completion`
    """Another text."""
    return sending("200 OK", completion(text, **kwargs))


def sending(status: str, body: bytes = b"{}", *headers: str) -> Behaviour:
    """Another response."""

    async def behave(_: FakeOracle, __: Body, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(status, body, *headers))

    return behave


@dataclass(frozen=True)
class Refusing:
    """A refusal that costs nothing."""

    status: str
    body: bytes = b"{}"
    header: str = "X-Served-By: fake"

    async def __call__(self, _: FakeOracle, __: Body, writer: asyncio.StreamWriter) -> None:
        """A Behaviour."""
        writer.write(reply(self.status, self.body, self.header))


async def hang_up(_: FakeOracle, __: Body, writer: asyncio.StreamWriter) -> None:
    """The connection ends within the answer."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"choices"')
    await writer.drain()
    writer.close()


async def silence(oracle: FakeOracle, _: Body, __: asyncio.StreamWriter) -> None:
    """No answer, ever."""
    await oracle.over.wait()


async def drip(oracle: FakeOracle, _: Body, writer: asyncio.StreamWriter) -> None:
    """An answer that comes a byte at a time, and never whole."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    while not oracle.over.is_set() and not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def flood(oracle: FakeOracle, _: Body, writer: asyncio.StreamWriter) -> None:
    """A body without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while not oracle.over.is_set() and not writer.is_closing():
        writer.write(b"x" * 65536)
        await writer.drain()


def question_of(body: Body) -> str:
    """What is asked about: a digest of the last picture and of the words with it."""
    *_, words, picture = body["messages"][-1]["content"]
    return hashlib.sha256(f"{words['text']} {picture['image_url']['url']}".encode()).hexdigest()


def picture_of(body: Body) -> bytes:
    """The JPEG that is asked about."""
    return base64.b64decode(body["messages"][-1]["content"][-1]["image_url"]["url"].partition(",")[2])


@dataclass
class FakeOracle:
    """Behaves as the next of `behaviours` says, and well after the last."""

    behaviours: list[Behaviour] = field(default_factory=list)
    says: Callable[[bytes], Body] = lambda _: SAYS
    """What it makes of a picture."""
    delay_s: Callable[[], float] = lambda: 0.0
    models: Sequence[str] = (MODEL,)
    port: int = 0
    charged: Counter[str] = field(default_factory=Counter)
    """By question, but for what `Refusing` refuses."""
    requests: list[tuple[str, dict[str, str], Body]] = field(default_factory=list)
    keep: bool = True
    """Whether `requests` is kept."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    running: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """As --oracle.url wants it."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def double(self) -> int:
        """Charges beyond the first of a question."""
        return sum(count - 1 for count in self.charged.values())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        try:
            while not self.over.is_set():
                await self._one(reader, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self.running.discard(task)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
        if self.keep:
            self.requests.append((first, headers, body))
        if first.startswith("GET"):
            writer.write(reply("200 OK", json.dumps({"data": [{"id": one} for one in self.models]}).encode()))
            return
        behave = self.behaviours.pop(0) if self.behaviours else answer
        await asyncio.sleep(self.delay_s() / 2)
        if not isinstance(behave, Refusing):
            self.charged[question_of(body)] += 1
        await asyncio.sleep(self.delay_s() / 2)
        await behave(self, body, writer)


@contextmanager
def serving(*behaviours: Behaviour, **fields: Any) -> Iterator[FakeOracle]:  # noqa: ANN401 - of the server
    """The server in a thread of its own."""
    oracle, ready, loop = FakeOracle(list(behaviours), **fields), threading.Event(), asyncio.new_event_loop()

    async def run() -> None:
        listening = await asyncio.start_server(oracle.serve, "127.0.0.1", 0)
        oracle.port = listening.sockets[0].getsockname()[1]
        ready.set()
        await oracle.over.wait()
        listening.close()
        for task in oracle.running:
            task.cancel()
        await asyncio.gather(*oracle.running, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    ready.wait(5)
    try:
        yield oracle
    finally:
        loop.call_soon_threadsafe(oracle.over.set)
        thread.join(5)
        loop.close()
