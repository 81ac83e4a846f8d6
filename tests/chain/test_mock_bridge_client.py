"""The client's end of the bridge when the bridge goes, says goodbye, or answers something else."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streetvision.chain.mock.bridge import BridgeError, MockBridge
from streetvision.chain.mock.bridge_client import MockBridgeClient
from streetvision.chain.mock.chain import MockChain


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: Unix sockets allow about 100 bytes, and pytest's own folders may be longer."""
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        yield Path(name)


async def test_the_client_reconnects_after_the_server_went(folder: Path) -> None:
    mock, path = MockChain(), folder / "b.sock"
    first = MockBridge(mock, path)
    await first.start()
    client = MockBridgeClient(path, deadline_s=5.0)
    await client.status()
    await first.close()
    with pytest.raises(OSError, match=r"."):
        await client.status()
    second = MockBridge(mock, path)
    await second.start()
    assert (await client.status()).block == mock.head.number
    await client.close()
    await second.close()


async def test_the_client_survives_the_bridges_goodbye_for_silence(folder: Path) -> None:
    mock = MockChain()
    bridge = MockBridge(mock, folder / "b.sock", idle_s=0.05)
    await bridge.start()
    async with MockBridgeClient(bridge.path, deadline_s=5.0) as client:
        for blocks in (1, 2, 3):
            before = mock.head.number
            assert (await client.advance(blocks)).block == before + blocks
            while bridge._server.connections:
                await asyncio.sleep(0.01)
        assert (await client.metagraph()).block == mock.head.number
    await bridge.close()


class Scripted:
    """A bridge that says the given lines: `early` when a connection opens, `replies` after each request."""

    def __init__(self, path: Path, early: list[dict[str, Any] | None], replies: list[dict[str, Any]]) -> None:
        self.path = path
        self.connections = 0
        self._early = early
        self._replies = replies

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if (early := self._early.pop(0)) is not None:
            writer.write(json.dumps(early).encode() + b"\n")
        while await reader.readline():
            if early is None:
                writer.write(json.dumps(self._replies.pop(0)).encode() + b"\n")
        writer.close()


@pytest.fixture
async def scripted(folder: Path) -> AsyncIterator[Callable[..., Awaitable[Scripted]]]:
    servers: list[asyncio.Server] = []

    async def start(early: list[dict[str, Any] | None], replies: list[dict[str, Any]]) -> Scripted:
        bridge = Scripted(folder / "s.sock", early, replies)
        servers.append(await asyncio.start_unix_server(bridge, bridge.path))
        return bridge

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


GOODBYE = {"id": None, "ok": False, "error": "silent for 120 s"}


async def test_a_goodbye_is_not_taken_for_a_reply(scripted: Callable[..., Awaitable[Scripted]]) -> None:
    bridge = await scripted([GOODBYE, None], [{"id": 1, "ok": True, "result": "right"}])
    async with MockBridgeClient(bridge.path) as client:
        assert await client.request("status") == "right"
    assert bridge.connections == 2


async def test_a_goodbye_on_every_connection_is_a_refusal(scripted: Callable[..., Awaitable[Scripted]]) -> None:
    bridge = await scripted([GOODBYE, GOODBYE], [])
    async with MockBridgeClient(bridge.path) as client:
        with pytest.raises(BridgeError, match="silent for 120 s"):
            await client.request("status")
    assert bridge.connections == 2


async def test_a_reply_to_another_request_costs_the_connection_and_is_not_sent_again(
    scripted: Callable[..., Awaitable[Scripted]],
) -> None:
    replies = [{"id": 7, "ok": True, "result": "wrong"}, {"id": 2, "ok": True, "result": "right"}]
    bridge = await scripted([None, None], replies)
    async with MockBridgeClient(bridge.path) as client:
        with pytest.raises(ConnectionAbortedError, match="answered request 7, not 1"):
            await client.request("advance", blocks=1)
        assert await client.request("status") == "right"
    assert bridge.connections == 2


async def test_a_cancelled_request_leaves_no_reply_for_the_next(folder: Path) -> None:
    bridge = MockBridge(MockChain(), folder / "b.sock")
    await bridge.start()
    async with MockBridgeClient(bridge.path) as client:
        await client.status()
        asking = asyncio.ensure_future(client.advance(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await client.set_block_time(0.5)).block_time_s == 0.5
    await bridge.close()
