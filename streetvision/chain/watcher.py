"""Keeps the newest metagraph snapshot at hand, on a task of its own, whatever the chain does."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from loguru import logger

from streetvision.base.steady_clock import elapsed
from streetvision.chain.client import Chain
from streetvision.chain.connection import Backoff, ChainAwayError, Sleep, ended, reason_of
from streetvision.chain.metagraph import MetagraphSnapshot, is_other_chain
from streetvision.errors import OperatorError

SnapshotListener = Callable[[MetagraphSnapshot | None, MetagraphSnapshot], None]
"""Called with the old snapshot (None at first) and the new one, which is never the older of the two."""

REVERSIBLE = 10
"""Snapshots that a reorganisation may take back: about fifty blocks, many times what finality takes."""


@dataclass(frozen=True)
class WatchPolicy:
    """How often the watcher looks, and when it loses patience."""

    poll_s: float = 6.0
    """Between two looks at the block number, a light request."""
    every_blocks: int = 5
    """Blocks between two snapshots, a heavy request."""
    min_interval_s: float = 5.0
    """Least time between two snapshots however fast blocks come."""
    stall_s: float = 90.0
    """Without a block that is new to us for this long the connection is given up for the next endpoint."""
    backoff: Backoff = field(default_factory=Backoff)


class MetagraphWatcher:
    """`current` is replaced whole; the request path reads it without a lock or an await."""

    def __init__(
        self,
        chain: Chain,
        policy: WatchPolicy | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        elapsed: Callable[[], float] = elapsed,
        sleep: Sleep = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.current: MetagraphSnapshot | None = None
        """The newest snapshot, however old; None before the first."""
        self.block: int | None = None
        """The newest block number that the node in use has shown."""
        self.behind = 0
        """Blocks by which the node in use lags behind the snapshot; 0 while it does not."""
        self.failures = 0
        """Failed looks in a row; 0 while the chain answers."""
        self._chain = chain
        self._policy = policy or WatchPolicy()
        self._monotonic = monotonic
        self._elapsed = elapsed
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._listeners: list[SnapshotListener] = []
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._advanced_at = self._refreshed_at = self._asked_at = -math.inf
        self._read: deque[MetagraphSnapshot] = deque(maxlen=REVERSIBLE)
        self._defects: set[type[Exception]] = set()

    def age(self) -> float:
        """Seconds since the snapshot was asked for, by no clock that can be set; infinite before the first."""
        return self._elapsed() - self._asked_at

    def add_listener(self, listener: SnapshotListener) -> None:
        """Call this soon after each new snapshot; an error in it goes to the loop's handler, not to the watcher."""
        self._listeners.append(listener)

    async def first(self) -> MetagraphSnapshot:
        """The first snapshot, when it has arrived."""
        await self._arrived.wait()
        assert self.current is not None  # noqa: S101 - set before the event
        return self.current

    def start(self) -> asyncio.Task[None]:
        """Start `run` as a task, once."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self.run(), name="metagraph-watcher")
        return self._task

    async def stop(self) -> None:
        """Cancel the task and wait for its end; never raises what the task may have ended with."""
        task, self._task = self._task, None
        if task is not None:
            await ended(task)

    async def run(self) -> None:
        """Look for new blocks until cancelled; nothing else ends it."""
        while True:
            await self._sleep(await self._look())

    async def _look(self) -> float:
        """One look; returns the pause until the next."""
        try:
            await self._chain.connect()
            await self._recognise()
            await self._follow(await self._chain.block())
        except ChainAwayError as error:
            self.failures += 1
            logger.debug("chain: {}", error)
        except OperatorError as error:
            self.failures += 1
            logger.warning("chain: {}", error)
        except Exception as error:  # noqa: BLE001 - serving needs the metagraph, whatever the SDK or we do wrong
            self.failures += 1
            await self._outlive(error)
        else:
            self.failures = 0
            return self._policy.poll_s
        return self._policy.backoff.pause(self.failures, self._rng)

    async def _outlive(self, error: Exception) -> None:
        """Report an error that no node's trouble explains, the first of its kind aloud, and take a new connection."""
        kind = type(error)
        level = "DEBUG" if kind in self._defects else "ERROR"
        self._defects.add(kind)
        logger.log(level, "chain: unexpected {} ({}); the next look takes a new connection", kind.__name__, error)
        await self._chain.drop(reason_of(error))

    async def _recognise(self) -> None:
        """Leave a node of another chain than the one that we started on; it would say that nobody is registered."""
        current = self.current
        if current is not None and is_other_chain(current.chain, await self._chain.identity()):
            await self._leave("it serves another chain than before; if that is right, restart the miner")
            raise ChainAwayError("The node serves another chain; the next look tries the next endpoint.")

    async def _follow(self, block: int) -> None:
        """Follow a node that brings news; one that stands still, or lags behind what we know, gets `stall_s`."""
        now = self._monotonic()
        known = -1 if self.current is None else self.current.block
        self.behind = max(0, known - block)
        if block > max(known, -1 if self.block is None else self.block):
            self._advanced_at = now
        elif now - self._advanced_at >= self._policy.stall_s:
            lag = f", and it is {self.behind} blocks behind" if self.behind else ""
            await self._leave(f"no new block since {max(known, block)} for {now - self._advanced_at:.0f} s{lag}")
            return
        self.block = block
        if self._is_due(block, now):
            await self.refresh()

    async def _leave(self, reason: str) -> None:
        """Give up the node; the next one gets the whole patience."""
        await self._chain.drop(reason)
        self.block, self._advanced_at = None, self._monotonic()

    def _is_due(self, block: int, now: float) -> bool:
        if self.current is None:
            return True
        if now - self._refreshed_at < self._policy.min_interval_s:
            return False
        return block - self.current.block >= self._policy.every_blocks

    async def refresh(self) -> MetagraphSnapshot:
        """Read a snapshot now and put it in place, unless the node lags behind the one in use, which is returned then.

        For a caller who cannot wait for the next block.
        """
        asked_at = self._elapsed()
        snapshot = await self._chain.snapshot()
        old = self.current
        if old is not None and (snapshot.block < old.block or is_other_chain(old.chain, snapshot.chain)):
            return old
        snapshot = replace(snapshot, reorganised_from=await self._forget_contradicted())
        self.current = snapshot
        self._read.append(snapshot)
        self._asked_at = asked_at
        self._refreshed_at = self._monotonic()
        if old is None or snapshot.block > old.block:
            self._advanced_at = self._refreshed_at
        self._arrived.set()
        if old is None:
            logger.info("chain: metagraph of subnet {} at block {}", snapshot.netuid, snapshot.block)
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.call_soon(listener, old, snapshot)
        return snapshot

    async def _forget_contradicted(self) -> int | None:
        """Forget those of the last snapshots that the chain no longer holds; returns the block of the first of them."""
        gone: list[MetagraphSnapshot] = []
        for before in reversed(self._read):
            there = await self._chain.block_hash(before.block)
            if None in (there, before.block_hash) or there == before.block_hash:
                break
            gone.append(before)
        if not gone:
            return None
        self._read = deque((kept for kept in self._read if kept not in gone), maxlen=REVERSIBLE)
        logger.warning("chain: reorganised; what was read from block {} on is taken back", gone[-1].block)
        return gone[-1].block
