"""The facade over the SDK's own RPC backend and real loopback sockets that misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from streetvision.chain.client import Chain, Deadlines
from streetvision.chain.connection import Backoff, ChainAwayError

DEADLINES = Deadlines(connect_s=0.4, read_s=0.4, snapshot_s=0.4, submit_s=0.4, close_s=0.5)


def dead_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{probe.getsockname()[1]}"


class Counted:
    """A websocket server that takes every frame and answers with `reply`, or never."""

    def __init__(self, reply: str | None = None) -> None:
        self.reply = reply
        self.open = 0
        self.total = 0

    async def __call__(self, connection: ServerConnection) -> None:
        self.open += 1
        self.total += 1
        try:
            async for _ in connection:
                if self.reply is not None:
                    await connection.send(self.reply)
        finally:
            self.open -= 1


@pytest.fixture
async def silent() -> AsyncIterator[tuple[Counted, str]]:
    handler = Counted()
    server: Server
    async with serve(handler, "127.0.0.1", 0) as server:
        yield handler, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def chain_to(*endpoints: str) -> Chain:
    return Chain("local", 72, endpoints=endpoints, deadlines=DEADLINES, backoff=Backoff(0.01, 0.02))


def sdk_tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "rpc-session"]


async def settle() -> None:
    """Give cancelled tasks of the SDK a moment to end."""
    for _ in range(100):
        if not sdk_tasks():
            return
        await asyncio.sleep(0.01)


async def test_a_dead_port_is_a_sentence_and_leaves_nothing_running() -> None:
    endpoint = dead_port()
    chain = chain_to(endpoint)
    with pytest.raises(ChainAwayError, match=f"No chain endpoint answers \\({endpoint}: "):
        await chain.connect(for_ever=False)
    await chain.close()
    await settle()
    assert sdk_tasks() == []


async def test_a_silent_host_is_left_at_the_deadline_and_its_connection_closed(silent: tuple[Counted, str]) -> None:
    handler, endpoint = silent
    chain = chain_to(endpoint)
    with pytest.raises(ChainAwayError, match=r"no answer within 0\.4 s"):
        await chain.connect(for_ever=False)
    await chain.close()
    await settle()
    assert handler.total == 1
    assert sdk_tasks() == []
    for _ in range(100):
        if handler.open == 0:
            break
        await asyncio.sleep(0.01)
    assert handler.open == 0


async def test_a_port_that_accepts_and_says_nothing(silent: tuple[Counted, str]) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        chain = chain_to(f"ws://127.0.0.1:{mute.getsockname()[1]}", silent[1], dead_port())
        with pytest.raises(ChainAwayError) as caught:
            await chain.connect(for_ever=False)
    assert str(caught.value).count("no answer within 0.4 s") == 2
    await settle()
    assert sdk_tasks() == []


@pytest.mark.parametrize("reply", ["not json", "[]", '{"jsonrpc":"2.0","id":1,"result":"0x00"}', '{"id":1}', "[1]"])
async def test_a_babbling_host_is_trouble_and_not_a_crash(reply: str) -> None:
    async with serve(Counted(reply), "127.0.0.1", 0) as server:
        chain = chain_to(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
        with pytest.raises(ChainAwayError):
            await chain.connect(for_ever=False)
        await chain.close()
        await settle()
    assert sdk_tasks() == []


async def test_connecting_for_ever_outlives_a_dead_port_until_cancelled() -> None:
    chain = chain_to(dead_port())
    task = asyncio.create_task(chain.connect())
    await asyncio.sleep(0.3)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await settle()
    assert sdk_tasks() == []
