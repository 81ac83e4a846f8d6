"""The load generator, in a process of its own: presigned requests on closed-loop connections; prints one JSON object.

Reads {port, connections, seconds, requests, junk, warm, image} from standard input; any probability answers `image`, a
JPEG in base64. Each connection waits for its reply before the next request, so latency is what a caller sees.
`requests` bounds the run and is signed before the clock starts; what is sent in the first `warm` seconds is checked and
not timed.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import sys
import time
from collections.abc import Iterator

import uvloop
from bittensor.sp_core import Keypair

from streetvision.axon.client import legacy_headers, request_body
from streetvision.axon.wire import PATH

ANSWER = re.compile(rb'"prediction":(0\.\d+|\d\.\d*e-\d+|[01]\.0)')
FIXED = re.compile(rb'"prediction":0.75')
HEAD = re.compile(rb"HTTP/1.1 (\d+).*?\r\ncontent-length: (\d+).*?\r\n\r\n", re.DOTALL | re.IGNORECASE)
MINER = Keypair.create_from_uri("//Miner").ss58_address


def encode(headers: dict[str, str], body: bytes) -> bytes:
    """One request as a dendrite of bittensor 10.5.0 puts it on the wire."""
    framing = {
        "host": "127.0.0.1:8091",
        "bt_header_axon_ip": "127.0.0.1",
        "bt_header_axon_port": "8091",
        "bt_header_dendrite_ip": "127.0.0.1",
        "bt_header_dendrite_version": "10005000",
        "header_size": "464",
        "total_size": str(len(body)),
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "user-agent": "Python/3.11 aiohttp/3.14.5",
        "content-length": str(len(body)),
    }
    lines = [f"POST {PATH} HTTP/1.1", *(f"{k}: {v}" for k, v in (framing | headers).items()), "", ""]
    return "\r\n".join(lines).encode() + body


def whole_synapse(headers: dict[str, str], image: bytes) -> bytes:
    """The body that a dendrite sends: every field of the synapse, its own terminal and the axon's among them."""
    terminal = dict.fromkeys(("status_code", "status_message", "process_time", "port", "version", "nonce", "uuid"))
    dendrite = {name: headers[f"bt_header_dendrite_{name}"] for name in ("nonce", "uuid", "hotkey", "signature")}
    fields = {
        "name": headers["name"],
        "timeout": 12.0,
        "total_size": 16509,
        "header_size": 0,
        "dendrite": terminal | dendrite | {"ip": "127.0.0.1", "version": 10005000, "nonce": int(dendrite["nonce"])},
        "axon": terminal | {"ip": "127.0.0.1", "port": 8091, "hotkey": MINER, "signature": None},
        "computed_body_hash": "",
        "testnet_label": -1,
    }
    return json.dumps(fields | json.loads(request_body(image))).encode()


def genuine(count: int, image: bytes) -> list[bytes]:
    """Requests of one validator, each with a fresh nonce."""
    alice, start = Keypair.create_from_uri("//Alice"), time.time_ns()
    signed = [
        legacy_headers(alice, MINER, nonce_ns=start + n, uuid=f"load-{start}-{n}", timeout_s=12.0) for n in range(count)
    ]
    body = whole_synapse(signed[0], image)
    return [encode(headers, body) for headers in signed]


def junk(image_bytes: int) -> Iterator[bytes]:
    """What strangers send: unknown paths and unknown hotkeys, for ever."""
    eve = legacy_headers(Keypair.create_from_uri("//Eve"), MINER, nonce_ns=time.time_ns(), uuid="junk")
    stranger = encode(eve, request_body(os.urandom(image_bytes)))
    return itertools.cycle([b"GET /x HTTP/1.1\r\nhost: bench\r\n\r\n", stranger])


class Connection(asyncio.Protocol):
    """Sends the next request whenever a reply is complete."""

    def __init__(
        self,
        requests: Iterator[bytes],
        span: tuple[float, float],
        done: asyncio.Future[None],
        answer: re.Pattern[bytes],
    ) -> None:
        """`span`: from when replies are timed, and until when requests are sent."""
        self._requests, self._done = requests, done
        self._since, self._until = span
        self._answer = answer
        self._buffer = b""
        self._sent = 0.0
        self.latencies: list[float] = []
        self.failures = self.replies = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP has no other
        """Send the first request."""
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        """Time and check a reply, once it is whole."""
        if self._buffer:
            data = self._buffer + data
        head = HEAD.match(data)
        if head is None or len(data) < head.end() + int(head[2]):
            self._buffer = data
            return
        self._buffer = b""
        if self._sent >= self._since:
            self.latencies.append(time.perf_counter() - self._sent)
        self.replies += 1
        if head[1] != b"200" or self._answer.search(data) is None:
            self.failures += 1
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
    image = base64.b64decode(plan["image"]) if "image" in plan else os.urandom(size)
    answer = ANSWER if "image" in plan else FIXED
    requests = junk(size) if plan.get("junk") else iter(genuine(plan["requests"], image))
    loop = asyncio.get_running_loop()
    started = time.perf_counter() + plan.get("warm", 0.0)
    connections, ends = [], []
    for _ in range(plan["connections"]):
        end: asyncio.Future[None] = loop.create_future()
        connection = Connection(requests, (started, started + plan["seconds"]), end, answer)
        await loop.create_connection(lambda c=connection: c, "127.0.0.1", plan["port"])  # type: ignore[misc]
        connections.append(connection)
        ends.append(end)
    await asyncio.wait(ends, timeout=plan["seconds"] + plan.get("warm", 0.0) + 20)
    latencies = [latency for connection in connections for latency in connection.latencies]
    failures = sum(connection.failures for connection in connections)
    elapsed = time.perf_counter() - started
    replies = sum(connection.replies for connection in connections)
    print(json.dumps({"latencies": latencies, "failures": failures, "seconds": elapsed, "replies": replies}))


if __name__ == "__main__":
    uvloop.run(main())
