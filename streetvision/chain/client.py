"""The chain as the miner needs it: a few calls, each with a deadline of its own, over whichever endpoint answers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from bittensor import BittensorError, ChainError, Client, ExtrinsicResult, PolicyError, Substrate
from bittensor.intents.serving import ServeAxon
from bittensor.pow_registration import mine_registration
from websockets.exceptions import WebSocketException

from streetvision.chain.connection import (
    TROUBLE,
    Backoff,
    ChainAwayError,
    Connection,
    OwnedRpcSubstrate,
    Sleep,
    SubstrateFactory,
    reason_of,
)
from streetvision.chain.connection import within as _within
from streetvision.chain.decoding import read_extras, read_hash, read_identity, read_time, snapshot_of
from streetvision.chain.endpoints import MOCK_NETWORK, endpoints_of, reachable_address
from streetvision.chain.metagraph import OLD_S, MetagraphSnapshot
from streetvision.errors import OperatorError

T = TypeVar("T")

RAO = 10**9


@dataclass(frozen=True)
class Deadlines:
    """Seconds that each kind of call may take, whatever the SDK does."""

    connect_s: float = 15.0
    """For one endpoint; a round tries all."""
    read_s: float = 15.0
    snapshot_s: float = 40.0
    submit_s: float = 180.0
    """Signing, inclusion and finalisation of an extrinsic."""
    close_s: float = 5.0


@dataclass(frozen=True)
class Publication:
    """What became of publishing an endpoint."""

    status: Literal["published", "unchanged", "too_soon"]
    endpoint: str
    block: int
    """The chain's block when this was decided."""
    retry_block: int | None = None
    """For `too_soon`: the first block at which the serving rate limit allows it."""
    retry_in_s: float | None = None
    """For `too_soon`: about how long that is."""


class Chain:
    """The facade; every method raises ChainAwayError when no endpoint answers within its deadline.

    While the chain is away a call first tries one round of endpoints, each within `connect_s`.
    """

    def __init__(
        self,
        network: str,
        netuid: int,
        *,
        endpoints: Sequence[str] = (),
        substrate_factory: SubstrateFactory | None = None,
        deadlines: Deadlines | None = None,
        backoff: Backoff | None = None,
        now: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        if network == MOCK_NETWORK and substrate_factory is None:
            raise ValueError("the mock network needs a substrate_factory")
        self.network = network
        self.netuid = netuid
        self.deadlines = deadlines or Deadlines()
        self._now = now
        self.sleep = sleep
        own = endpoints_of(network)
        self._place = ", ".join(endpoints) if endpoints and tuple(endpoints) != own else network
        self._connection = Connection(
            endpoints or own,
            substrate_factory or OwnedRpcSubstrate,
            connect_deadline_s=self.deadlines.connect_s,
            close_deadline_s=self.deadlines.close_s,
            backoff=backoff or Backoff(),
            sleep=sleep,
            rng=rng or random.Random(),
        )

    @property
    def endpoint(self) -> str | None:
        """The endpoint in use, None while the chain is away."""
        return self._connection.endpoint

    async def connect(self, *, for_ever: bool = True) -> None:
        """Open a connection; tries for ever with growing pauses, or once and then raises ChainAwayError."""
        await (self._connection.open_for_ever() if for_ever else self._connection.open())

    async def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        await self._connection.close()

    async def drop(self, reason: str) -> None:
        """Give up the current connection, as when blocks have stopped; the next call opens the next endpoint."""
        await self._connection.drop(reason)

    async def call(self, what: str, operation: Callable[[Client], Awaitable[T]], deadline_s: float) -> T:
        """Run an operation of the SDK's client within a deadline; a failure gives up the connection it failed on."""
        client = await self._connection.open()

        async def run() -> T:
            return await operation(client)

        try:
            return await _within(deadline_s, run())
        except (PolicyError, ChainError) as error:
            if isinstance(error, PolicyError) or error.name:
                raise OperatorError(f"The chain refuses ({what}): {reason_of(error)}.") from error
            raise await self._away(what, error, client) from error
        except TROUBLE as error:
            raise await self._away(what, error, client) from error

    async def _away(self, what: str, error: Exception, client: Client) -> ChainAwayError:
        reason = f"{what}: {reason_of(error)}"
        await self._connection.drop(reason, client)
        return ChainAwayError(f"The chain gave no answer ({reason}); the next call tries the next endpoint.")

    async def query(self, item: str, *keys: object) -> Any:  # noqa: ANN401 - decoded storage
        """One storage item of SubtensorModule at the head, decoded."""
        storage = ("SubtensorModule", item)
        return await self.call(item, lambda client: client.query(storage, list(keys)), self.deadlines.read_s)

    async def block(self) -> int:
        """The head's block number."""
        return await self.call("block number", lambda client: client.block(), self.deadlines.read_s)

    async def block_hash(self, block: int) -> str | None:
        """A block's hash on the chain of the node in use; None when the node does not have it."""
        return await self.call("block hash", lambda _: read_hash(self._substrate, block), self.deadlines.read_s)

    async def identity(self) -> str | None:
        """What tells the chain of the node in use from every other; None when the node does not say."""
        return await self.call("first block", lambda _: read_identity(self._substrate), self.deadlines.read_s)

    @property
    def _substrate(self) -> Substrate:
        """The backend under the client that a call was just given."""
        substrate = self._connection.substrate
        if substrate is None:
            raise ChainAwayError("The chain's connection was given up; the next call opens another.")
        return substrate

    async def require_fresh(self) -> None:
        """OperatorError when the node shows an old state, or one to come: a hotkey may only look unregistered."""
        head = await self.call("block's own time", read_time, self.deadlines.read_s)
        if head is None:
            raise OperatorError(
                f"The node {self.endpoint} does not say when its newest block was made: name another node with "
                "--subtensor.chain_endpoint."
            )
        seconds = self._now() - head
        if not abs(seconds) < OLD_S:
            found = "old: the node lags, or this machine's clock is ahead"
            if seconds < 0:
                found = "ahead of this machine's clock: the clock is behind, or the node is wrong"
            raise OperatorError(
                f"The newest block of the node {self.endpoint} is {abs(seconds) / 60:.0f} min {found}. "
                "Name another node with --subtensor.chain_endpoint, or set the clock right."
            )

    async def block_time(self) -> float:
        """Seconds per block, as the chain says."""
        return await self.call("block time", lambda client: client.block_time(), self.deadlines.read_s)

    async def require_subnet(self) -> None:
        """OperatorError when the subnet does not exist; its price and UIDs would read as 0 and none then."""
        if not await self.query("NetworksAdded", self.netuid):
            raise OperatorError(self._no_subnet())

    def _no_subnet(self) -> str:
        return f"Subnet {self.netuid} does not exist on {self._place}: check --netuid and --subtensor.network."

    async def registration_price(self) -> float:
        """TAO that registering costs at the head; it moves with every block."""
        return int(await self.query("Burn", self.netuid) or 0) / RAO

    async def uid_of(self, hotkey: str) -> int | None:
        """The hotkey's UID at the head, or None when it is not registered."""
        uid = await self.query("Uids", self.netuid, hotkey)
        return None if uid is None else int(uid)

    async def free_tao(self, address: str) -> float:
        """An account's free TAO at the head."""
        item, deadline = ("System", "Account"), self.deadlines.read_s
        account = await self.call("account", lambda client: client.query(item, [address]), deadline)
        return int(((account or {}).get("data") or {}).get("free") or 0) / RAO

    async def snapshot(self) -> MetagraphSnapshot:
        """The subnet at the head, by the SDK's own metagraph decoding; OperatorError when the subnet does not exist."""

        async def fetch(client: Client) -> MetagraphSnapshot | None:
            asked = self._now()
            substrate, view = self._substrate, await client.at()
            graph = await view.subnets.metagraph(self.netuid, commitments=False)
            if graph is None:
                return None
            extras = await read_extras(view, self.netuid)
            hashes = await read_hash(substrate, graph.block), await read_identity(substrate)
            return snapshot_of(graph, asked, replace(extras, block_hash=hashes[0], chain=hashes[1]))

        snapshot = await self.call("metagraph", fetch, self.deadlines.snapshot_s)
        if snapshot is None:
            raise OperatorError(self._no_subnet())
        return snapshot

    async def submit(self, intent: Any, wallet: Any) -> ExtrinsicResult:  # noqa: ANN401 - any SDK intent and signer
        """Sign and submit an intent and wait for finalisation; a refusal by the chain is in the result."""
        deadline = self.deadlines.submit_s
        return await self.call(intent.op, lambda client: client.execute(intent, wallet), deadline)

    async def mine_pow(self, hotkey: str, coldkey: str, *, workers: int, max_seconds: float) -> Any:  # noqa: ANN401
        """Mine a proof of work for this subnet and return the SDK's PowRegister intent.

        TimeoutError when none is found within `max_seconds`; ValueError when the subnet does not take proofs.
        """
        client = await self._connection.open()
        mining = mine_registration(
            self._connection.substrate, self.netuid, hotkey, coldkey, workers=workers, max_seconds=max_seconds
        )
        try:
            return await _within(max_seconds + self.deadlines.read_s, mining)
        except TimeoutError:
            raise
        except (BittensorError, OSError, WebSocketException) as error:
            raise await self._away("proof of work", error, client) from error

    async def publish_axon(self, hotkey: Any, ip: str, port: int) -> Publication:  # noqa: ANN401 - any SDK signer
        """Publish `ip:port` for the hotkey, if the chain has another endpoint and its rate limit allows it now.

        ConfigError for an address nobody could reach; OperatorError when the chain refuses (not registered, no fee).
        """
        address = reachable_address(ip, port, self.network)
        endpoint = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
        block = await self.block()
        if await self.uid_of(hotkey.ss58_address) is None:
            raise OperatorError(_not_registered(hotkey.ss58_address, self.netuid))
        current = await self.query("Axons", self.netuid, hotkey.ss58_address) or {}
        if (int(current.get("ip") or 0), int(current.get("port") or 0)) == (int(address), port):
            return Publication("unchanged", endpoint, block)
        limit = int(await self.query("ServingRateLimit", self.netuid) or 0)
        allowed_at = int(current.get("block") or -limit) + limit
        if block < allowed_at:
            return await self._too_soon(endpoint, block, allowed_at)
        result = await self.submit(ServeAxon(netuid=self.netuid, ip=str(address), port=port), hotkey)
        if result.error is not None and result.error.name == "ServingRateLimitExceeded":
            return await self._too_soon(endpoint, block, block + limit)
        if not result.success:
            raise OperatorError(_refusal(result, hotkey.ss58_address, self.netuid))
        return Publication("published", endpoint, block)

    async def _too_soon(self, endpoint: str, block: int, allowed_at: int) -> Publication:
        seconds = (allowed_at - block) * await self.block_time()
        return Publication("too_soon", endpoint, block, allowed_at, seconds)


def _not_registered(hotkey: str, netuid: int) -> str:
    return f"Hotkey {hotkey} is not registered on subnet {netuid} and cannot publish its endpoint: register it first."


def _refusal(result: ExtrinsicResult, hotkey: str, netuid: int) -> str:
    error = result.error
    name = error.name if error else None
    if name in {"HotKeyNotRegisteredInSubNet", "HotKeyNotRegisteredInNetwork"}:
        return _not_registered(hotkey, netuid)
    if name == "Payment":
        return f"The coldkey that owns {hotkey} cannot pay the fee for publishing the endpoint: send it a little TAO."
    hint = f"; {error.remediation}" if error else ""
    return f"The chain refused to publish the endpoint ({name or 'no name'}: {result.message.rstrip('.')}){hint}."
