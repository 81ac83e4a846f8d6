"""The other process's end of the mocked chain's bridge: read the metagraph, give scores, arrange a test or a demo."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from streetvision.chain.metagraph import MetagraphSnapshot, Neuron
from streetvision.chain.mock.bridge import BridgeError, scores_message

REPLY_LIMIT = 4 * 1024 * 1024
"""Bytes in one reply; 256 UIDs need about 150 KB."""


@dataclass(frozen=True)
class BridgeStatus:
    """Where the mocked chain stands."""

    block: int
    tempo: int
    blocks_until_epoch: int
    block_time_s: float
    halted: bool


_CLOSED = "the mock chain closed the connection"


class _EndedError(Exception):
    """The connection had ended before the request; `goodbye` is what the bridge said, if it was heard."""

    def __init__(self, goodbye: str) -> None:
        super().__init__(goodbye)
        self.goodbye = goodbye


class MockBridgeClient:
    """A connection to a `MockBridge`, renewed when the bridge ended it for silence.

    BridgeError when the bridge refuses, OSError or TimeoutError when it is gone.
    """

    def __init__(self, path: Path, *, deadline_s: float = 10.0, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.path = path
        self._deadline_s = deadline_s
        self._now_ns = now_ns
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock = asyncio.Lock()
        self._requests = 0
        self._nonce = 0

    async def connect(self) -> Self:
        """Open the connection, if it is not open."""
        if self._streams is None:
            opening = asyncio.open_unix_connection(os.fspath(self.path), limit=REPLY_LIMIT)
            self._streams = await asyncio.wait_for(opening, self._deadline_s)
        return self

    async def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            try:
                await streams[1].wait_closed()
            except ConnectionError:
                return

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def request(self, op: str, **arguments: object) -> Any:  # noqa: ANN401 - each op's own result
        """One request and its reply's result."""
        async with self._lock:
            self._requests += 1
            body = json.dumps({"id": self._requests, "op": op, **arguments}).encode() + b"\n"
            try:
                reply = await asyncio.wait_for(self._ask(body), self._deadline_s)
            except BaseException:
                await self.close()
                raise
        if not reply["ok"]:
            raise BridgeError(reply["error"])
        return reply["result"]

    async def _ask(self, body: bytes) -> dict[str, Any]:
        """The reply to a request; sent once more when the connection, still open from before, had ended."""
        if self._streams is not None:
            try:
                return await self._exchange(body)
            except _EndedError:
                await self.close()
        try:
            return await self._exchange(body)
        except _EndedError as error:
            raise (BridgeError(error.goodbye) if error.goodbye else ConnectionResetError(_CLOSED)) from error

    async def _exchange(self, body: bytes) -> dict[str, Any]:
        """One request on the open connection; _EndedError when the bridge surely did not carry it out."""
        await self.connect()
        assert self._streams is not None  # noqa: S101 - just connected
        reader, writer = self._streams
        writer.write(body)
        try:
            await writer.drain()
        except ConnectionError as error:
            raise _EndedError("") from error
        line = await reader.readline()
        if not line:
            raise ConnectionResetError(_CLOSED)
        reply: dict[str, Any] = json.loads(line)
        if reply["id"] is None:
            raise _EndedError(reply["error"])
        if reply["id"] != self._requests:
            raise ConnectionAbortedError(f"the mock chain answered request {reply['id']}, not {self._requests}")
        return reply

    # -- what a validator does -----------------------------------------------------------------------------------------

    async def metagraph(self) -> MetagraphSnapshot:
        """The subnet now; `taken_at` is the chain's own time."""
        fields = await self.request("metagraph")
        neurons = tuple(Neuron(**row) for row in fields.pop("neurons"))
        return MetagraphSnapshot(neurons=neurons, **fields)

    async def status(self) -> BridgeStatus:
        """Where the chain stands."""
        return BridgeStatus(**await self.request("status"))

    async def submit_scores(self, keypair: Any, scores: Mapping[str, float], netuid: int) -> int:  # noqa: ANN401
        """Give scores in [0, 1] by hotkey, signed by a validator's hotkey; returns the block at which they counted."""
        self._nonce = max(self._nonce + 1, self._now_ns())
        address = str(keypair.ss58_address)
        signature = bytes(keypair.sign(scores_message(netuid, address, self._nonce, scores))).hex()
        result = await self.request(
            "scores", hotkey=address, scores=dict(scores), nonce=self._nonce, signature=signature
        )
        return int(result["block"])

    # -- what tests and demos arrange ----------------------------------------------------------------------------------

    async def deregister(self, hotkey: str) -> BridgeStatus:
        """A competitor takes this hotkey's UID."""
        return BridgeStatus(**await self.request("deregister", hotkey=hotkey))

    async def register(self, hotkey: str, coldkey: str) -> int:
        """Register a hotkey without payment; returns its UID."""
        return int((await self.request("register", hotkey=hotkey, coldkey=coldkey))["uid"])

    async def halt(self, on: bool) -> BridgeStatus:
        """Whether validators give everything to the owner, from the next epoch on."""
        return BridgeStatus(**await self.request("halt", on=on))

    async def advance(self, blocks: int) -> BridgeStatus:
        """Make empty blocks at once."""
        return BridgeStatus(**await self.request("advance", blocks=blocks))

    async def set_block_time(self, seconds: float) -> BridgeStatus:
        """Seconds between blocks from now on."""
        return BridgeStatus(**await self.request("block_time", seconds=seconds))
