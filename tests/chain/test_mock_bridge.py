"""The bridge between the mocked chain and other processes, over a real Unix-domain socket."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from streetvision.chain.mock.bridge import BridgeError, MockBridge, scores_message
from streetvision.chain.mock.bridge_client import MockBridgeClient
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.config import MockConfig, dev_coldkey, dev_hotkey
from streetvision.chain.mock.network import MockNetwork
from streetvision.errors import OperatorError

ALICE = dev_hotkey("Alice")
MINER = dev_hotkey("Miner").ss58_address


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: Unix sockets allow about 100 bytes, and pytest's own folders may be longer."""
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        yield Path(name)


@pytest.fixture
async def bridge(folder: Path) -> AsyncIterator[MockBridge]:
    bridge = MockBridge(MockChain(MockConfig(tempo=10)), folder / "b.sock", idle_s=5.0, line_limit=20_000)
    await bridge.start()
    yield bridge
    await bridge.close()


def mock_of(bridge: MockBridge) -> MockChain:
    return bridge._chain


async def test_a_validator_reads_and_scores_and_the_miner_rises(bridge: MockBridge) -> None:
    async with MockBridgeClient(bridge.path) as client:
        before = await client.metagraph()
        assert before.neurons[4].hotkey == MINER
        assert before.neurons[0].validator_permit
        assert before.by_hotkey[MINER].axon is None
        await client.submit_scores(ALICE, {MINER: 0.99}, 72)
        status = await client.advance(10)
        assert status.blocks_until_epoch == 10
        after = await client.metagraph()
        assert after.block == before.block + 10
        assert after.neurons[4].incentive > before.neurons[4].incentive
        assert after.neurons[4].emission > before.neurons[4].emission


async def test_the_socket_is_for_its_owner_alone_and_goes_away(bridge: MockBridge) -> None:
    assert stat.S_IMODE(bridge.path.stat().st_mode) == 0o600
    await bridge.close()
    assert not bridge.path.exists()


async def test_admin_operations(bridge: MockBridge) -> None:
    async with MockBridgeClient(bridge.path) as client:
        await client.deregister(MINER)
        assert (await client.metagraph()).find(MINER) is None
        assert await client.register(MINER, dev_coldkey("Miner").ss58_address) == 32
        assert (await client.halt(True)).halted
        assert not (await client.halt(False)).halted
        assert (await client.set_block_time(0.5)).block_time_s == 0.5
        with pytest.raises(BridgeError, match="already registered"):
            await client.register(MINER, dev_coldkey("Miner").ss58_address)
        with pytest.raises(BridgeError, match="is not registered"):
            await client.deregister(dev_hotkey("Eve").ss58_address)


def signed(scores: dict[str, Any], nonce: int, signer: Any = ALICE, hotkey: str = ALICE.ss58_address) -> dict[str, Any]:
    signature = bytes(signer.sign(scores_message(72, hotkey, nonce, scores))).hex()
    return {"op": "scores", "hotkey": hotkey, "scores": scores, "nonce": nonce, "signature": signature}


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (signed({MINER: 0.5}, 1, signer=dev_hotkey("Bob")), "signature does not match"),
        ({**signed({MINER: 0.5}, 1), "scores": {MINER: 0.6}}, "signature does not match"),
        ({**signed({MINER: 0.5}, 1), "nonce": 2}, "signature does not match"),
        ({**signed({MINER: 0.5}, 1), "signature": "zz"}, "signature does not match"),
        ({**signed({MINER: 0.5}, 1), "signature": "00"}, "signature does not match"),
        ({**signed({MINER: 0.5}, 1), "hotkey": "nobody"}, "signature does not match"),
        (signed({MINER: 0.5}, 1, dev_hotkey("Dave"), dev_hotkey("Dave").ss58_address), "no validator permit"),
        (signed({MINER: 0.5}, 1, dev_hotkey("Eve"), dev_hotkey("Eve").ss58_address), "no validator permit"),
        (signed({MINER: 1.5}, 1), r"number in \[0, 1\]"),
        (signed({MINER: "1"}, 1), r"number in \[0, 1\]"),
        ({**signed({MINER: 0.5}, 1), "scores": [1]}, "`scores` must be an object"),
        ({**signed({MINER: 0.5}, 1), "nonce": "1"}, "`nonce` must be"),
        ({"op": "scores"}, "`hotkey` must be"),
        ({"op": "advance", "blocks": 0}, "`blocks` must lie"),
        ({"op": "advance", "blocks": 10**9}, "`blocks` must lie"),
        ({"op": "halt", "on": 1}, "`on` must be"),
        ({"op": "block_time", "seconds": 0}, "block time must lie"),
        ({"op": "block_time", "seconds": "1"}, "`seconds` must be"),
        ({"op": "reset"}, "unknown op; known are advance"),
        ([1, 2], "must be a JSON object"),
    ],
)
async def test_what_the_bridge_refuses(bridge: MockBridge, request_: Any, sentence: str) -> None:
    reply = await bridge.answer(json.dumps(request_).encode())
    assert reply["ok"] is False
    with pytest.raises(BridgeError, match=sentence):
        raise BridgeError(reply["error"])
    assert not mock_of(bridge).state.scores
    assert not mock_of(bridge).state.halted


async def test_a_replay_is_refused(bridge: MockBridge) -> None:
    line = json.dumps(signed({MINER: 0.5}, 10)).encode()
    assert (await bridge.answer(line))["ok"]
    assert (await bridge.answer(line))["error"].startswith("the nonce was used before")
    assert not (await bridge.answer(json.dumps(signed({MINER: 0.9}, 9)).encode()))["ok"]
    assert (await bridge.answer(json.dumps(signed({MINER: 0.6}, 11)).encode()))["ok"]
    assert mock_of(bridge).state.scores[ALICE.ss58_address][MINER].value == 0.6


@pytest.mark.parametrize("line", [b"{", b"\xff\xfe", b"[" * 10_000, b""])
async def test_what_is_not_json_is_answered(bridge: MockBridge, line: bytes) -> None:
    assert (await bridge.answer(line))["error"] == "a request must be one line of JSON"


async def test_a_long_line_ends_its_connection_and_no_other(bridge: MockBridge) -> None:
    async with MockBridgeClient(bridge.path) as client:
        reader, writer = await asyncio.open_unix_connection(bridge.path)
        writer.write(b"x" * 100_000)
        await writer.drain()
        reply = json.loads(await asyncio.wait_for(reader.readline(), 5))
        assert reply["error"] == "a request may have at most 20000 bytes"
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert (await client.status()).block == mock_of(bridge).head.number


async def test_a_silent_or_endless_request_is_ended(folder: Path) -> None:
    bridge = MockBridge(MockChain(), folder / "b.sock", idle_s=0.05)
    await bridge.start()
    reader, writer = await asyncio.open_unix_connection(bridge.path)
    writer.write(b'{"op": "sta')
    reply = json.loads(await asyncio.wait_for(reader.readline(), 5))
    assert "silent" in reply["error"]
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await bridge.close()


async def test_connections_are_bounded(folder: Path) -> None:
    bridge = MockBridge(MockChain(), folder / "b.sock", max_connections=1)
    await bridge.start()
    async with MockBridgeClient(bridge.path) as client:
        await client.status()
        reader, writer = await asyncio.open_unix_connection(bridge.path)
        assert json.loads(await asyncio.wait_for(reader.readline(), 5))["error"] == "too many connections"
        writer.close()
    await bridge.close()


async def test_a_stale_socket_is_replaced_and_a_living_one_is_not(folder: Path) -> None:
    path = folder / "b.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
    bridge = MockBridge(MockChain(), path)
    await bridge.start()
    with pytest.raises(
        OperatorError, match=r"Another process serves a mock chain at .*: stop it, or name another .* --state_dir"
    ):
        await MockBridge(MockChain(), path).start()
    await bridge.close()


async def test_paths_that_cannot_be_sockets(folder: Path) -> None:
    file = folder / "file"
    file.write_text("precious")
    with pytest.raises(OperatorError, match=r"is not a socket: name another state folder with --state_dir\."):
        await MockBridge(MockChain(), file).start()
    assert file.read_text() == "precious"
    with pytest.raises(OperatorError, match=r"too long .*: name a shorter state folder with --state_dir"):
        await MockBridge(MockChain(), folder / ("x" * 100)).start()
    with pytest.raises(OperatorError, match=r"cannot listen at .* \(no such file .*: name another .* --state_dir"):
        await MockBridge(MockChain(), folder / "absent" / "b.sock").start()
    with pytest.raises(OperatorError, match=r"cannot listen at .*: name another state folder with --state_dir"):
        await MockBridge(MockChain(), file / "b.sock").start()


async def test_a_socket_of_another_kind_is_one_sentence(folder: Path) -> None:
    path = folder / "b.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(os.fspath(path))
        with pytest.raises(OperatorError, match=r"cannot listen at .*: name another state folder with --state_dir"):
            await MockBridge(MockChain(), path).start()
    assert path.exists()


class Forbidden(socket.socket):
    """A socket as the system gives it to one who may not use the path, which root in a test may."""

    def connect(self, address: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


async def test_a_socket_of_another_user_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "b.sock"
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(os.fspath(path))
        monkeypatch.setattr("streetvision.net.unix_socket.socket.socket", Forbidden)
        with pytest.raises(
            OperatorError, match=r"cannot listen at .* \(permission denied\): name another state folder"
        ):
            await MockBridge(MockChain(), path).start()
    assert path.exists()


async def test_the_running_network_makes_blocks_and_serves_both_sides(folder: Path) -> None:
    network = MockNetwork(MockConfig(block_time_s=0.01), folder / "b.sock")
    await network.start()
    chain = network.chain()
    first = await chain.block()
    async with MockBridgeClient(folder / "b.sock") as client:
        await client.submit_scores(ALICE, {MINER: 0.4}, 72)
        while (await client.status()).block < first + 3:
            await asyncio.sleep(0.005)
    assert await chain.block() >= first + 3
    await chain.close()
    await network.stop()
    assert not (folder / "b.sock").exists()
