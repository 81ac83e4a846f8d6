"""One live SDK client out of several endpoints: deadlines, rotation, backoff, and a line in the log per change."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import InvalidStateError
from dataclasses import dataclass
from typing import Any, TypeVar

from bittensor import BittensorError, Client, RpcSubstrate, Substrate
from loguru import logger
from websockets.exceptions import WebSocketException

from streetvision.errors import OperatorError

T = TypeVar("T")

SubstrateFactory = Callable[[str], Substrate]
Sleep = Callable[[float], Awaitable[None]]

TROUBLE: tuple[type[Exception], ...] = (
    BittensorError,
    OSError,
    TimeoutError,
    WebSocketException,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    AssertionError,
    BufferError,
    struct.error,
    asyncio.InvalidStateError,
    InvalidStateError,
)
"""What a dead, silent or babbling node surfaces as; all from ValueError on come out of the SDK's own code."""


class ChainAwayError(OperatorError):
    """No endpoint answered in time; the snapshot in use stays as it is."""


class OwnedRpcSubstrate(RpcSubstrate):
    """The SDK's RPC backend, closable at any moment.

    The SDK forgets a connection whose opening is cancelled, and its supervisor dials on for ever; this one does not.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint, fallback_endpoints=[], archive_endpoints=[])
        self._opened: list[Any] = []

    def _interface(self, endpoint: str, fallbacks: list[str]) -> Any:  # noqa: ANN401 - a private class of the SDK
        connection = super()._interface(endpoint, fallbacks)
        self._opened.append(connection)
        return connection

    async def close(self) -> None:
        """Close every connection this backend ever opened."""
        opened, self._opened = self._opened, []
        self._substrate = None
        for connection in opened:
            await connection.close()


@dataclass(frozen=True)
class Backoff:
    """Pauses between rounds of failed attempts: doubling up to a ceiling, each shortened at random by up to half."""

    first_s: float = 1.0
    ceiling_s: float = 60.0

    def pause(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after this many failed rounds (1 for the first)."""
        return min(self.ceiling_s, self.first_s * 2.0 ** min(failures - 1, 30)) * rng.uniform(0.5, 1.0)


def _forget(task: asyncio.Future[Any]) -> None:
    """Take the outcome of an abandoned call, so that the loop does not report it as unobserved."""
    if not task.cancelled():
        task.exception()


async def within(seconds: float, call: Coroutine[Any, Any, T]) -> T:
    """The call's result, or TimeoutError after `seconds` even if the call ignores its cancellation.

    ConnectionAbortedError when the call was cancelled from within or panicked in native code: that must not end us.
    """
    task = asyncio.ensure_future(call)
    task.add_done_callback(_forget)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
    if not done:
        raise TimeoutError(f"no answer within {seconds:g} s")
    if task.cancelled():
        raise ConnectionAbortedError("the SDK gave up the call")
    error = task.exception()
    if error is not None and not isinstance(error, Exception):
        raise ConnectionAbortedError(f"the SDK broke down ({type(error).__name__}: {error})") from error
    return task.result()


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; an error that it died of is logged, as nobody waited for it."""
    task.cancel()
    await asyncio.wait({task})
    error = None if task.cancelled() else task.exception()
    if error is not None:
        logger.warning("chain: {} had ended with {}: {}", task.get_name(), type(error).__name__, error)


def reason_of(error: Exception) -> str:
    """One line that says what went wrong, with the error's type where its text alone would not do."""
    text, kind = " ".join(str(error).split())[:300], type(error).__name__
    if not text:
        return kind
    return text if isinstance(error, BittensorError | OSError | WebSocketException) else f"{kind}: {text}"


class Connection:
    """The current client, and how to get the next one."""

    def __init__(
        self,
        endpoints: Sequence[str],
        factory: SubstrateFactory,
        *,
        connect_deadline_s: float,
        close_deadline_s: float,
        backoff: Backoff,
        sleep: Sleep,
        rng: random.Random,
    ) -> None:
        if not endpoints:
            raise ValueError("a connection needs at least one endpoint")
        self._endpoints = tuple(endpoints)
        self._factory = factory
        self._connect_deadline_s = connect_deadline_s
        self._close_deadline_s = close_deadline_s
        self._backoff = backoff
        self._sleep = sleep
        self._rng = rng
        self._lock = asyncio.Lock()
        self._next = 0
        self._live: tuple[Client, Substrate] | None = None
        self._announced_away = False
        self.endpoint: str | None = None
        """The endpoint in use, None while away."""

    @property
    def client(self) -> Client | None:
        """The client in use, None while away."""
        return self._live[0] if self._live else None

    @property
    def substrate(self) -> Substrate | None:
        """The backend of the client in use, None while away."""
        return self._live[1] if self._live else None

    async def open(self) -> Client:
        """The current client, or the first endpoint that opens in one round; ChainAwayError when none does."""
        async with self._lock:
            if self._live:
                return self._live[0]
            reasons = []
            for _ in self._endpoints:
                endpoint = self._endpoints[self._next]
                try:
                    return await self._dial(endpoint)
                except Exception as error:  # noqa: BLE001 - whatever spoils the opening of one, the next may open
                    reasons.append(f"{endpoint}: {reason_of(error)}")
                    self._next = (self._next + 1) % len(self._endpoints)
        failure = "No chain endpoint answers (" + "; ".join(reasons) + "): check the network and --subtensor.network."
        if not self._announced_away:
            self._announced_away = True
            logger.warning("chain: away. {}", failure)
        raise ChainAwayError(failure)

    async def open_for_ever(self) -> Client:
        """Like `open`, but round after round with growing pauses until an endpoint answers."""
        failures = 0
        while True:
            try:
                return await self.open()
            except ChainAwayError:
                failures += 1
                await self._sleep(self._backoff.pause(failures, self._rng))

    async def _dial(self, endpoint: str) -> Client:
        substrate = self._factory(endpoint)
        try:
            await within(self._connect_deadline_s, substrate.connect())
        except BaseException:
            await self._close(substrate)
            raise
        client = Client("local", substrate=substrate)
        self._live = (client, substrate)
        self.endpoint = endpoint
        self._announced_away = False
        logger.info("chain: connected to {}", endpoint)
        return client

    async def drop(self, reason: str, client: Client | None = None) -> None:
        """Give up the current client and turn to the next endpoint; ignored when `client` is no longer the current."""
        if self._live is None or (client is not None and self._live[0] is not client):
            return
        (_, substrate), self._live = self._live, None
        endpoint, self.endpoint = self.endpoint, None
        self._next = (self._next + 1) % len(self._endpoints)
        logger.warning("chain: left {} ({})", endpoint, reason)
        await self._close(substrate)

    async def close(self) -> None:
        """Close the current client, if any, and stay closed until opened again."""
        if self._live is not None:
            (_, substrate), self._live = self._live, None
            self.endpoint = None
            await self._close(substrate)

    async def _close(self, substrate: Substrate) -> None:
        try:
            await within(self._close_deadline_s, substrate.close())
        except Exception as error:  # noqa: BLE001 - it is given up already, and nothing it raises may stop the miner
            logger.debug("chain: closing a connection failed: {}", reason_of(error))
