"""A door to the mocked chain for other processes of the same user: a Unix-domain socket of mode 0600.

Requests and replies are JSON objects, one a line. A request has `op`, its arguments, and an `id` that the reply
repeats; the reply has `ok` and either `result` or `error` (one sentence). A reply whose `id` is null answers no
request: the bridge says goodbye with it, as after long silence, and has not carried out what was sent since. Ops:

- `metagraph`: the subnet as a `MetagraphSnapshot`'s fields, decoded by the SDK
- `status`: block, tempo, blocks until the next epoch, block time, halted
- `scores`: `hotkey`, `scores` {hotkey: score in [0, 1]}, `nonce`, `signature`: a permitted validator's scores, signed
  by its hotkey over `scores_message`; the nonce must be greater than the last one accepted from that hotkey
- `deregister` hotkey, `register` hotkey and coldkey, `halt` on, `advance` blocks, `block_time` seconds: for tests and
  demos; whoever may open the socket may use them
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from bittensor import Client
from bittensor.sp_core import Keypair
from loguru import logger

from streetvision.chain.decoding import snapshot_of
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.substrate import MockSubstrate
from streetvision.net.line_server import LineServer, NotAnObject, Peer, parsed
from streetvision.net.unix_socket import ELSEWHERE

LINE_LIMIT = 65_536
"""Bytes in one request."""

MAX_ADVANCE = 50_000
"""Blocks in one `advance`."""

DOMAIN = "streetvision-mock-scores/1"

BridgeRequest = Mapping[str, Any]


class BridgeError(Exception):
    """The bridge refused a request, for the reason in the message."""


def scores_message(netuid: int, hotkey: str, nonce: int, scores: Mapping[str, float]) -> bytes:
    """What a validator signs: domain, netuid, hotkey, nonce and the SHA-256 of the scores' canonical JSON, by line."""
    digest = sha256(json.dumps(scores, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return "\n".join([DOMAIN, str(netuid), hotkey, str(nonce), digest]).encode()


class MockBridge:
    """Serves a `MockChain` on a Unix-domain socket."""

    def __init__(
        self,
        chain: MockChain,
        path: Path,
        *,
        line_limit: int = LINE_LIMIT,
        idle_s: float = 120.0,
        max_connections: int = 16,
    ) -> None:
        self.path = path
        self._chain = chain
        self._client = Client("local", substrate=MockSubstrate(chain))
        self._server = LineServer(
            path,
            self._reply,
            _refusal,
            name="mock chain",
            taken=f"Another process serves a mock chain at {path}: stop it, or {ELSEWHERE}.",
            line_limit=line_limit,
            idle_s=idle_s,
            max_connections=max_connections,
        )
        self._nonces: dict[str, int] = {}
        self._ops: dict[str, Callable[[BridgeRequest], Awaitable[Any]]] = {
            "metagraph": self._metagraph,
            "status": self._status,
            "scores": self._scores,
            "deregister": self._deregister,
            "register": self._register,
            "halt": self._halt,
            "advance": self._advance,
            "block_time": self._block_time,
        }

    async def start(self) -> None:
        """Listen; OperatorError when the path cannot be used."""
        await self._server.start()
        logger.info("mock chain: open to this user's processes at {}", self.path)

    async def close(self) -> None:
        """Stop listening, end the connections and remove the socket."""
        await self._server.close()

    async def _reply(self, line: bytes, peer: Peer) -> bool:
        await peer.send(await self.answer(line))
        return True

    async def answer(self, line: bytes) -> dict[str, Any]:
        """The reply to one request line."""
        identity: Any = None
        try:
            request = parsed(line)
            identity = request.get("id")
            operation = self._ops.get(str(request.get("op")))
            if operation is None:
                raise BridgeError(f"unknown op; known are {', '.join(sorted(self._ops))}")
            return {"id": identity, "ok": True, "result": await operation(request)}
        except (NotAnObject, BridgeError) as error:
            return _refusal(str(error), identity)

    # -- operations ----------------------------------------------------------------------------------------------------

    async def _metagraph(self, _: BridgeRequest) -> dict[str, Any]:
        graph = await self._client.subnets.metagraph(self._chain.config.netuid, commitments=False)
        if graph is None:
            raise BridgeError("the subnet does not exist")
        return asdict(snapshot_of(graph, self._chain.state.timestamp_ms / 1000))

    async def _status(self, _: BridgeRequest) -> dict[str, Any]:
        state = self._chain.state
        return {
            "block": state.block,
            "tempo": state.config.tempo,
            "blocks_until_epoch": state.last_epoch + state.config.tempo - state.block,
            "block_time_s": state.block_time_s,
            "halted": state.halted,
        }

    async def _scores(self, request: BridgeRequest) -> dict[str, Any]:
        hotkey, nonce = _text(request, "hotkey"), _integer(request, "nonce")
        scores = request.get("scores")
        if not isinstance(scores, dict) or len(scores) > 256:
            raise BridgeError("`scores` must be an object of at most 256 scores by hotkey")
        message = scores_message(self._chain.config.netuid, hotkey, nonce, scores)
        if not _is_signed(hotkey, message, _text(request, "signature")):
            raise BridgeError("the signature does not match the hotkey and the scores")
        if nonce <= self._nonces.get(hotkey, 0):
            raise BridgeError("the nonce was used before: it must grow with every submission")
        try:
            self._chain.give_scores(hotkey, scores)
        except (LookupError, ValueError) as error:
            raise BridgeError(str(error)) from error
        self._nonces[hotkey] = nonce
        return {"block": self._chain.state.block}

    async def _deregister(self, request: BridgeRequest) -> dict[str, Any]:
        try:
            self._chain.deregister(_text(request, "hotkey"))
        except KeyError as error:
            raise BridgeError(f"{error.args[0]} is not registered") from error
        return await self._status(request)

    async def _register(self, request: BridgeRequest) -> dict[str, Any]:
        try:
            row = self._chain.register(_text(request, "hotkey"), _text(request, "coldkey"))
        except (LookupError, ValueError) as error:
            raise BridgeError(str(error)) from error
        return {"uid": row.uid}

    async def _halt(self, request: BridgeRequest) -> dict[str, Any]:
        if not isinstance(request.get("on"), bool):
            raise BridgeError("`on` must be true or false")
        self._chain.halt(request["on"])
        return await self._status(request)

    async def _advance(self, request: BridgeRequest) -> dict[str, Any]:
        blocks = _integer(request, "blocks")
        if not 1 <= blocks <= MAX_ADVANCE:
            raise BridgeError(f"`blocks` must lie between 1 and {MAX_ADVANCE}")
        self._chain.advance(blocks)
        return await self._status(request)

    async def _block_time(self, request: BridgeRequest) -> dict[str, Any]:
        seconds = request.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise BridgeError("`seconds` must be a number")
        try:
            self._chain.set_block_time(float(seconds))
        except ValueError as error:
            raise BridgeError(str(error)) from error
        return await self._status(request)


def _refusal(error: str, identity: object = None) -> dict[str, Any]:
    return {"id": identity, "ok": False, "error": error}


def _text(request: BridgeRequest, name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or len(value) > 200:
        raise BridgeError(f"`{name}` must be a short string")
    return value


def _integer(request: BridgeRequest, name: str) -> int:
    value = request.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise BridgeError(f"`{name}` must be an unsigned 64-bit integer")
    return value


def _is_signed(hotkey: str, message: bytes, signature: str) -> bool:
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
        return bool(Keypair(ss58_address=hotkey).verify(message, raw))
    except ValueError:
        return False
