"""A steady load, in a process of its own: signed requests at a fixed pace, each timed; prints one JSON object.

Reads {port, connections, rate, images} from standard input and calls until it is told to end by a second line. `rate`
is in requests a second: request k is due k / rate after the start and its latency counts from when it was due, so that
a miner that stands still is charged with all that it kept waiting. Without a rate every connection asks again at once.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import uvloop
from bittensor.sp_core import Keypair
from load import HEAD, MINER, encode

from streetvision.axon.client import legacy_headers, request_body
from streetvision.scenes.challenges import challenge

TIMEOUT_S = 12.0
CALLERS = ("Alice", "Bob", "Charlie")


class Connection:
    """One kept-alive connection of one validator."""

    def __init__(self, name: str, port: int) -> None:
        self._keypair = Keypair.create_from_uri(f"//{name}")
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes, number: int) -> int:
        """Send one signed request; the status of its reply, 0 when there is no answer."""
        headers = legacy_headers(
            self._keypair, MINER, nonce_ns=time.time_ns(), uuid=f"steady-{number}", timeout_s=TIMEOUT_S
        )
        try:
            if self._streams is None or self._streams[0].at_eof():  # the miner closes what is idle for long
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(encode(headers, body))
            head = HEAD.match(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_S + 5))
            if head is None:
                return 0
            reply = await reader.readexactly(int(head[2]))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self._streams = None
            return 0
        return int(head[1]) if b'"prediction":' in reply else 0


class Steady:
    """The load: when each request was due, how long it took, and its status."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._rate: float | None = plan["rate"]
        self._bodies = [request_body(challenge(seed, native=False).jpeg) for seed in range(plan["images"])]
        names = itertools.cycle(CALLERS)
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for _ in range(plan["connections"]):
            self._free.put_nowait(Connection(next(names), plan["port"]))
        self.calls: list[tuple[float, float, int]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Call until `stop`, then wait for the last replies."""
        calling: set[asyncio.Task[None]] = set()
        for number, due in self._schedule():
            connection = await self._free.get()
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if stop.is_set():
                break
            task = asyncio.create_task(self._call(connection, number, due if self._rate else time.monotonic()))
            calling.add(task)
            task.add_done_callback(calling.discard)
        if calling:
            await asyncio.wait(calling)

    def _schedule(self) -> Iterator[tuple[int, float]]:
        start = time.monotonic()
        return ((number, start + number / self._rate if self._rate else 0.0) for number in itertools.count())

    async def _call(self, connection: Connection, number: int, due: float) -> None:
        status = await connection.ask(self._bodies[number % len(self._bodies)], number)
        self.calls.append((due, time.monotonic() - due, status))
        self._free.put_nowait(connection)


async def main() -> None:
    """Run the plan until the second line."""
    load = Steady(json.loads(sys.stdin.readline()))
    stop = asyncio.Event()

    async def wait_for_end() -> None:
        await asyncio.to_thread(sys.stdin.readline)
        stop.set()

    print("ready", flush=True)
    await asyncio.gather(load.run(stop), wait_for_end())
    print(json.dumps(load.calls))


if __name__ == "__main__":
    uvloop.run(main())
