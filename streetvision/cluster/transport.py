"""The way to Ray Serve through the bridge, a process of its own, which is started when it is needed."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from typing import Any

from streetvision.cluster.frames import FRAME_LIMIT, read_frame, write_frame
from streetvision.engine.remote_wire import answer_of, batch_parts
from streetvision.engine.transport import RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble

RETRY_SECONDS = 5.0
"""Between two tries to start a bridge: each one is a process that looks for the cluster."""
END_SECONDS = 3.0
GONE = "the bridge to the cluster has ended"

Answering = asyncio.Future[tuple[dict[str, Any], bytes]]
"""For the frame that answers another."""

logger = logging.getLogger(__name__)


class Link:
    """One bridge that runs, and who waits for its frames."""

    def __init__(self, process: asyncio.subprocess.Process | None, reader: asyncio.StreamReader,
                 writer: asyncio.StreamWriter, page: str) -> None:  # fmt: skip
        """`process` is None where a test is the bridge."""
        self.page = page
        self._process, self._reader, self._writer = process, reader, writer
        self._numbers = count(1)
        self._waiting: dict[int, Answering] = {}
        self._listening = asyncio.ensure_future(self._listen())

    @property
    def ended(self) -> bool:
        """Whether nothing is to be had from it any more."""
        return self._listening.done()

    async def ask(self, head: Mapping[str, Any], block: memoryview) -> tuple[dict[str, Any], bytes]:
        """The frame that answers this one; raises RemoteFailure when the bridge ends before."""
        number = next(self._numbers)
        future: Answering = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            write_frame(self._writer, {**head, "id": number}, block)
            await self._writer.drain()
            return await future
        except asyncio.CancelledError:
            if not self.ended:
                write_frame(self._writer, {"cancel": number})
            raise
        except ConnectionError:
            raise RemoteFailure(RemoteTrouble.UNREACHABLE, GONE) from None
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """Let the bridge go; it ends when its socket is closed."""
        self._writer.close()
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), END_SECONDS)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def _listen(self) -> None:
        try:
            with suppress(EOFError, ConnectionError, ValueError):
                while True:
                    head, block = await read_frame(self._reader)
                    future = self._waiting.get(int(head.get("id", 0)))
                    if future is not None and not future.done():
                        future.set_result((head, block))
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(RemoteFailure(RemoteTrouble.UNREACHABLE, GONE))


class RayTransport:
    """As Transport has it."""

    name = "ray"

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        start: Callable[[Mapping[str, Any]], Awaitable[Link]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`options` are the bridge's: `address`, and where Ray is ours, `start` and `deploy`."""
        self._options, self._start, self._clock = options, start or start_bridge, clock
        self._link: Link | None = None
        self._starting: asyncio.Task[Link] | None = None
        self._failed: tuple[RemoteFailure, float] | None = None

    @property
    def link(self) -> str:
        """Ray's dashboard."""
        return "" if self._link is None else self._link.page

    async def send(self, batch: RemoteBatch) -> RemoteAnswer:
        """As Transport has it."""
        link = await self._linked()
        return answer_of(*await link.ask(*batch_parts(batch)))

    async def close(self) -> None:
        """End the bridge; what it started for all miners of this machine, such as Ray, goes on."""
        if self._starting is not None:
            self._starting.cancel()
        if self._link is not None:
            await self._link.close()

    async def _linked(self) -> Link:
        """The bridge that runs, or a new one for all that ask meanwhile."""
        if self._link is not None and not self._link.ended:
            return self._link
        if self._starting is None:
            self._raise_if_just_failed()
            self._starting = asyncio.ensure_future(self._started())
        return await asyncio.shield(self._starting)

    def _raise_if_just_failed(self) -> None:
        if self._failed is not None and self._clock() - self._failed[1] < RETRY_SECONDS:
            raise self._failed[0]

    async def _started(self) -> Link:
        try:
            if self._link is not None:
                await self._link.close()
            self._link = await self._start(self._options)
        except RemoteFailure as failure:
            self._failed = failure, self._clock()
            raise
        finally:
            self._starting = None
        return self._link


async def start_bridge(options: Mapping[str, Any]) -> Link:
    """Start a bridge and wait until it has reached the cluster; raises RemoteFailure with its reason."""
    if find_spec("ray") is None:
        raise RemoteFailure(RemoteTrouble.MISSING, "Ray is not installed")
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streetvision.cluster.bridge", str(theirs.fileno()), json.dumps(options)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C is the miner's: it drains first
        )
    reader, writer = await asyncio.open_connection(sock=ours, limit=FRAME_LIMIT)
    try:
        hello, _ = await read_frame(reader)
    except (EOFError, ConnectionError, ValueError):
        hello = {"trouble": RemoteTrouble.UNREACHABLE.value, "message": GONE}
    except BaseException:
        writer.close()
        raise
    if "link" in hello:
        logger.info("the bridge to Ray is up (process %d)", process.pid)
        return Link(process, reader, writer, str(hello["link"]))
    writer.close()
    await process.wait()
    raise RemoteFailure(RemoteTrouble(hello["trouble"]), str(hello["message"]))
