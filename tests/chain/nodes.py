"""Endpoints of a mocked chain whose behaviour a test switches, and a watcher over them in a time of its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial

from bittensor import RpcConnectionError

from streetvision.chain.client import Chain, Deadlines
from streetvision.chain.connection import Backoff
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.substrate import MockSubstrate
from streetvision.chain.watcher import MetagraphWatcher, WatchPolicy

SHORT = Deadlines(connect_s=0.4, read_s=0.4, snapshot_s=1.5, submit_s=1.5, close_s=0.4)
"""Real seconds, which a silent node costs its test; a busy machine must not take an answering one for silent."""


class Node:
    """An endpoint whose behaviour a test switches: `up`, `dead`, `hang`, `mute` (opens, then silent), `broken`."""

    def __init__(self, mock: MockChain, mood: str = "up") -> None:
        self.mock = mock
        self.mood = mood
        self.opened = 0
        self.closed = 0


class NodeSubstrate(MockSubstrate):
    def __init__(self, node: Node) -> None:
        super().__init__(node.mock)
        self._node = node

    async def connect(self) -> None:
        self._node.opened += 1
        if self._node.mood == "dead":
            raise RpcConnectionError("connection refused")
        if self._node.mood == "hang":
            await asyncio.Event().wait()

    async def close(self) -> None:
        self._node.closed += 1

    async def block_number(self) -> int:
        if self._node.mood == "dead":
            raise RpcConnectionError("connection reset")
        if self._node.mood in {"mute", "hang"}:
            await asyncio.Event().wait()
        if self._node.mood == "broken":
            raise KeyError("number")
        return await super().block_number()


class Clock:
    """Time that passes only in `sleep`, which also gives the loop a turn and runs the test's script."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.script: dict[int, Callable[[], object]] = {}
        self.finished = asyncio.Event()
        self.end = 1_000

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        self.script.pop(len(self.pauses), lambda: None)()
        if len(self.pauses) >= self.end:
            self.finished.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)


def chain_over(nodes: dict[str, Node], clock: Clock | None = None) -> Chain:
    clock = clock or Clock()
    return Chain(
        "mock",
        72,
        endpoints=list(nodes),
        substrate_factory=lambda endpoint: NodeSubstrate(nodes[endpoint]),
        deadlines=SHORT,
        backoff=Backoff(1.0, 8.0),
        now=lambda: clock.now,
        sleep=clock.sleep,
        rng=random.Random(1),
    )


POLICY = WatchPolicy(poll_s=6.0, every_blocks=5, min_interval_s=5.0, stall_s=60.0, backoff=Backoff(1.0, 8.0))


async def watch(
    nodes: dict[str, Node], looks: int, script: Callable[[int, MetagraphWatcher], object], policy: WatchPolicy = POLICY
) -> tuple[MetagraphWatcher, list[tuple[MetagraphSnapshot | None, MetagraphSnapshot]], Clock]:
    """Run a watcher for some pauses, calling `script(n, watcher)` in the n-th."""
    clock = Clock()
    clock.end = looks
    watcher = MetagraphWatcher(
        chain_over(nodes, clock), policy, monotonic=lambda: clock.now, sleep=clock.sleep, rng=random.Random(2)
    )
    clock.script = {n: partial(script, n, watcher) for n in range(1, looks)}
    heard: list[tuple[MetagraphSnapshot | None, MetagraphSnapshot]] = []
    watcher.add_listener(lambda old, new: heard.append((old, new)))
    task = watcher.start()
    assert watcher.start() is task
    await asyncio.wait_for(clock.finished.wait(), 20)
    await asyncio.sleep(0)
    assert not task.done()
    await watcher.stop()
    return watcher, heard, clock
