"""The load generator, in a process of its own: presigned requests on closed-loop connections; prints one JSON object.

Reads {port, connections, seconds, requests, junk} from standard input. Each connection waits for its reply before the
next request, so latency is what a caller sees. `requests` bounds the run and is signed before the clock starts.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator

import uvloop
from bittensor.sp_core import Keypair

from streetvision.axon.client import legacy_headers, request_body
from streetvision.axon.wire import PATH

MINER = Keypair.create_from_uri("//Miner").ss58_address


def encode(headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", "host: bench", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, *(f"{k}: {v}" for k, v in headers.items()), "", ""]).encode() + body


def genuine(count: int, image_bytes: int) -> list[bytes]:
    """Requests of one dendrite, each with a fresh nonce."""
    alice, start = Keypair.create_from_uri("//Alice"), time.time_ns()
    body, uuid = request_body(os.urandom(image_bytes)), f"load-{start}"
    extra = {"bt_header_dendrite_version": "10005000", "bt_header_dendrite_ip": "127.0.0.1"}
    return [
        encode(legacy_headers(alice, MINER, nonce_ns=start + n, uuid=f"{uuid}-{n}", timeout_s=12.0) | extra, body)
        for n in range(count)
    ]


def junk(image_bytes: int) -> Iterator[bytes]:
    """What strangers send: unknown paths and unknown hotkeys, for ever."""
    eve = legacy_headers(Keypair.create_from_uri("//Eve"), MINER, nonce_ns=time.time_ns(), uuid="junk")
    stranger = encode(eve, request_body(os.urandom(image_bytes)))
    return itertools.cycle([b"GET /x HTTP/1.1\r\nhost: bench\r\n\r\n", stranger])


class Connection(asyncio.Protocol):
    """Sends the next request whenever a reply is complete."""

    def __init__(self, requests: Iterator[bytes], until: float, done: asyncio.Future[None]) -> None:
        self._requests, self._until, self._done = requests, until, done
        self._buffer = bytearray()
        self._sent = 0.0
        self.latencies: list[float] = []
        self.failures = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP has no other
        """Send the first request."""
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        """Time and check a reply, once it is whole."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(self._buffer) < end + 4 + length:
            return
        self.latencies.append(time.perf_counter() - self._sent)
        if not (head.startswith(b"http/1.1 200") and b'"prediction":0.75' in self._buffer[end:]):
            self.failures += 1
        self._buffer.clear()
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """This connection is done."""
        if not self._done.done():
            self._done.set_result(None)

    def _next(self) -> None:
        request = next(self._requests, None) if time.perf_counter() < self._until else None
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)


async def main() -> None:
    """Run the plan."""
    plan = json.load(sys.stdin)
    size = plan.get("image_bytes", 10_000)
    requests = junk(size) if plan.get("junk") else iter(genuine(plan["requests"], size))
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    connections, ends = [], []
    for _ in range(plan["connections"]):
        end: asyncio.Future[None] = loop.create_future()
        connection = Connection(requests, started + plan["seconds"], end)
        await loop.create_connection(lambda c=connection: c, "127.0.0.1", plan["port"])  # type: ignore[misc]
        connections.append(connection)
        ends.append(end)
    await asyncio.wait(ends, timeout=plan["seconds"] + 20)
    latencies = [latency for connection in connections for latency in connection.latencies]
    failures = sum(connection.failures for connection in connections)
    elapsed = time.perf_counter() - started
    print(json.dumps({"latencies": latencies, "failures": failures, "seconds": elapsed}))


uvloop.run(main())
