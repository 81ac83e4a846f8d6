"""What `--subtensor.network mock` starts: the mocked chain, its blocks by the clock, and its bridge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from streetvision.chain.client import Chain
from streetvision.chain.connection import ended
from streetvision.chain.endpoints import MOCK_NETWORK
from streetvision.chain.mock.bridge import MockBridge
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.config import MockConfig
from streetvision.chain.mock.substrate import MockSubstrate


class MockNetwork:
    """A running mocked chain inside this process; without a socket path no other process can reach it."""

    def __init__(
        self,
        config: MockConfig | None = None,
        socket_path: Path | None = None,
        *,
        run: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        """`run` tells this chain from one that ran before, in the history of the same state folder."""
        self.mock = MockChain(config, run=run, start_ms=round(1000 * now()))
        self.bridge = None if socket_path is None else MockBridge(self.mock, socket_path)
        self._blocks: asyncio.Task[None] | None = None

    def chain(self) -> Chain:
        """A facade over this chain, as `Chain(network, ...)` is over a real one."""
        netuid = self.mock.config.netuid
        return Chain(MOCK_NETWORK, netuid, substrate_factory=lambda _: MockSubstrate(self.mock))

    async def start(self) -> None:
        """Make blocks and open the bridge; OperatorError when its socket cannot be used."""
        if self.bridge is not None:
            await self.bridge.start()
        self._blocks = asyncio.create_task(self.mock.run(), name="mock-blocks")

    async def stop(self) -> None:
        """End both."""
        if self._blocks is not None:
            blocks, self._blocks = self._blocks, None
            await ended(blocks)
        if self.bridge is not None:
            await self.bridge.close()
