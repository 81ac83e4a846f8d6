"""The facade and the watcher when endpoints die, hang, lag or go silent, and come back."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from bittensor import RpcConnectionError

from streetvision.chain.client import Chain, Deadlines
from streetvision.chain.connection import Backoff, ChainAwayError, within
from streetvision.chain.endpoints import endpoints_of
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.chain.mock import MockChain
from streetvision.chain.mock_config import dev_hotkey
from streetvision.chain.mock_substrate import MockSubstrate
from streetvision.chain.watcher import MetagraphWatcher, WatchPolicy
from streetvision.errors import ConfigError, OperatorError

SHORT = Deadlines(connect_s=0.1, read_s=0.1, snapshot_s=0.5, submit_s=1.0, close_s=0.1)


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


@pytest.mark.parametrize("mood", ["dead", "hang"])
async def test_the_fallback_is_used_when_the_first_endpoint_fails(mood: str) -> None:
    mock = MockChain()
    nodes = {"a": Node(mock, mood), "b": Node(mock)}
    chain = chain_over(nodes)
    assert await chain.block() == mock.head.number
    assert chain.endpoint == "b"
    assert nodes["a"].closed == 1


@pytest.mark.parametrize("mood", ["mute", "broken"])
async def test_a_node_that_stops_answering_is_left_for_the_next(mood: str) -> None:
    mock = MockChain()
    nodes = {"a": Node(mock), "b": Node(mock)}
    chain = chain_over(nodes)
    await chain.block()
    nodes["a"].mood = mood
    with pytest.raises(ChainAwayError, match="gave no answer"):
        await chain.block()
    assert chain.endpoint is None
    assert await chain.block() == mock.head.number
    assert chain.endpoint == "b"


async def test_one_round_of_dead_endpoints_is_one_sentence() -> None:
    mock = MockChain()
    chain = chain_over({"a": Node(mock, "dead"), "b": Node(mock, "hang")})
    with pytest.raises(ChainAwayError, match=r"a: connection refused; b: no answer within 0\.1 s"):
        await chain.connect(for_ever=False)


async def test_connecting_goes_on_for_ever_with_growing_jittered_pauses() -> None:
    node, clock = Node(MockChain(), "dead"), Clock()
    clock.script[9] = lambda: setattr(node, "mood", "up")
    await chain_over({"a": node}, clock).connect()
    assert node.opened == 10
    ceilings = [1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    assert all(0.5 * top <= pause <= top for pause, top in zip(clock.pauses, ceilings, strict=True))
    assert len(set(clock.pauses)) == len(clock.pauses)


async def test_a_call_that_ignores_its_cancellation_is_left_behind() -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await release.wait()

    with pytest.raises(TimeoutError, match="no answer within"):
        await within(0.01, stubborn())
    release.set()
    await asyncio.sleep(0)


class Panic(BaseException):
    """What a panic in native code looks like: no Exception."""


@pytest.mark.parametrize("fault", [asyncio.CancelledError(), Panic("decode")])
async def test_a_call_that_ends_itself_does_not_end_its_caller(fault: BaseException) -> None:
    chain = chain_over({"a": Node(MockChain())})

    async def fail(_: Any) -> None:
        raise fault

    with pytest.raises(ChainAwayError, match="the SDK"):
        await chain.call("read", fail, 1.0)


async def test_a_failed_call_does_not_close_a_newer_connection() -> None:
    mock = MockChain()
    nodes = {"a": Node(mock), "b": Node(mock)}
    chain = chain_over(nodes)
    release = asyncio.Event()

    async def late_failure(_: Any) -> None:
        await release.wait()
        raise OSError("late")

    slow = asyncio.ensure_future(chain.call("slow", late_failure, 5.0))
    await asyncio.sleep(0.01)
    await chain.drop("test")
    await chain.block()
    release.set()
    with pytest.raises(ChainAwayError):
        await slow
    assert chain.endpoint == "b"
    assert nodes["b"].closed == 0


async def test_a_subnet_that_does_not_exist() -> None:
    chain = Chain("mock", 5, substrate_factory=lambda _: MockSubstrate(MockChain()))
    with pytest.raises(OperatorError, match="Subnet 5 does not exist on mock: check --netuid"):
        await chain.snapshot()
    with pytest.raises(OperatorError, match="Subnet 5 does not exist on mock: check --netuid"):
        await chain.require_subnet()


async def test_a_missing_subnet_names_the_endpoints_that_the_operator_named() -> None:
    mock = MockChain()
    chain = Chain("finney", 5, endpoints=["ws://a", "ws://b"], substrate_factory=lambda _: MockSubstrate(mock))
    with pytest.raises(OperatorError, match="Subnet 5 does not exist on ws://a, ws://b: check"):
        await chain.require_subnet()


async def test_a_subnet_that_exists_passes_and_a_dead_chain_is_away() -> None:
    node = Node(MockChain())
    chain = chain_over({"a": node})
    await chain.require_subnet()
    await chain.close()
    node.mood = "dead"
    with pytest.raises(ChainAwayError):
        await chain.require_subnet()


# -- publishing --------------------------------------------------------------------------------------------------------


async def test_publishing_only_what_is_new_and_allowed() -> None:
    mock = MockChain()
    chain, miner = chain_over({"a": Node(mock)}), dev_hotkey("Miner")
    first = await chain.publish_axon(miner, "203.0.113.7", 8091)
    assert (first.status, first.endpoint) == ("published", "203.0.113.7:8091")
    published = mock.head.number
    assert (await chain.publish_axon(miner, "203.0.113.7", 8091)).status == "unchanged"
    assert mock.head.number == published
    early = await chain.publish_axon(miner, "2001:db8::7", 8091)
    assert (early.status, early.retry_block, early.retry_in_s) == ("too_soon", published + 50, 600.0)
    mock.advance(50)
    again = await chain.publish_axon(miner, "2001:db8::7", 8091)
    assert (again.status, again.endpoint) == ("published", "[2001:db8::7]:8091")
    row = (await chain.snapshot()).find(miner.ss58_address)
    assert row is not None
    assert row.axon == again.endpoint


async def test_publishing_needs_registration_and_a_fee() -> None:
    mock = MockChain()
    chain = chain_over({"a": Node(mock)})
    with pytest.raises(OperatorError, match="is not registered on subnet 72 and cannot publish"):
        await chain.publish_axon(dev_hotkey("Eve"), "203.0.113.7", 8091)
    mock.amend(lambda state: state.with_free(state.rows[4].coldkey, 0))
    with pytest.raises(OperatorError, match=r"cannot pay the fee .* send it a little TAO"):
        await chain.publish_axon(dev_hotkey("Miner"), "203.0.113.7", 8091)


@pytest.mark.parametrize(
    ("network", "ip", "port", "sentence"),
    [
        ("mock", "example.org", 8091, "is not an IP address"),
        ("mock", "0.0.0.0", 8091, "cannot be reached"),
        ("mock", "203.0.113.7", 0, "not between 1 and 65535"),
        ("finney", "192.168.1.4", 8091, "cannot be reached"),
        ("test", "::1", 8091, "cannot be reached"),
    ],
)
async def test_addresses_nobody_could_reach_are_refused(network: str, ip: str, port: int, sentence: str) -> None:
    chain = Chain(network, 72, endpoints=["a"], substrate_factory=lambda _: MockSubstrate(MockChain()))
    with pytest.raises(ConfigError, match=sentence):
        await chain.publish_axon(dev_hotkey("Miner"), ip, port)


def test_endpoints_of_networks() -> None:
    finney = endpoints_of("finney", fallbacks=["wss://mine.example:443"])
    assert finney[0].startswith("wss://entrypoint-finney")
    assert finney[1] == "wss://mine.example:443"
    assert len(finney) > 2
    assert endpoints_of("finney", "ws://10.0.0.1:9944") == ("ws://10.0.0.1:9944",)
    assert endpoints_of("ws://10.0.0.1:9944") == ("ws://10.0.0.1:9944",)
    assert endpoints_of("mock") == ("mock",)
    with pytest.raises(ConfigError, match="Unknown network 'fini'"):
        endpoints_of("fini")
    with pytest.raises(ConfigError, match="must start with ws"):
        endpoints_of("finney", "http://x")


# -- the watcher -------------------------------------------------------------------------------------------------------

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


async def test_a_snapshot_comes_every_few_blocks_and_listeners_hear_of_it() -> None:
    mock = MockChain()
    start = mock.head.number
    watcher, heard, _ = await watch({"a": Node(mock)}, 21, lambda *_: mock.seal())
    assert [new.block - start for _, new in heard] == [0, 5, 10, 15, 20]
    assert heard[0][0] is None
    assert all(old is new for (_, new), (old, _) in pairwise(heard))
    assert watcher.current is heard[-1][1]
    assert watcher.block == start + 20
    assert watcher.failures == 0


async def test_fast_blocks_do_not_make_more_snapshots_than_the_interval_allows() -> None:
    mock = MockChain()
    policy = WatchPolicy(poll_s=1.0, every_blocks=1, min_interval_s=5.0)
    _, heard, _ = await watch({"a": Node(mock)}, 21, lambda *_: mock.advance(3), policy)
    assert len(heard) == 5


@pytest.mark.parametrize("mood", ["dead", "hang", "mute", "broken"])
async def test_the_stale_snapshot_stays_while_the_chain_is_away_and_is_renewed_after(mood: str) -> None:
    mock = MockChain()
    node = Node(mock)
    while_away: list[tuple[MetagraphSnapshot | None, int]] = []

    def script(n: int, watcher: MetagraphWatcher) -> None:
        mock.seal()
        node.mood = mood if 3 <= n < 12 else "up"
        if 4 <= n < 12:
            while_away.append((watcher.current, watcher.failures))

    watcher, heard, _ = await watch({"a": node}, 25, script)
    assert {current for current, _ in while_away} == {heard[0][1]}
    assert watcher.current is not None
    assert watcher.current.block > heard[0][1].block + 10
    assert watcher.failures == 0
    assert node.opened > 1


async def test_silent_blocks_lead_to_the_next_endpoint() -> None:
    stuck, live = MockChain(), MockChain()
    live.advance(100)
    nodes = {"a": Node(stuck), "b": Node(live)}
    watcher, heard, clock = await watch(nodes, 30, lambda *_: live.seal())
    assert nodes["a"].closed == 1
    assert nodes["b"].opened == 1
    assert watcher.current is not None
    assert watcher.current.block >= live.config.start_block + 100
    assert heard[0][1].block == stuck.config.start_block
    assert clock.now > POLICY.stall_s


async def test_a_lagging_endpoint_does_not_bring_back_an_older_snapshot() -> None:
    ahead, behind = MockChain(), MockChain()
    ahead.advance(50)
    nodes = {"a": Node(ahead), "b": Node(behind)}
    watcher, heard, _ = await watch(nodes, 8, lambda n, _: setattr(nodes["a"], "mood", "broken") if n == 2 else None)
    assert nodes["b"].opened == 1
    assert watcher.current is heard[0][1]
    assert len(heard) == 1


async def test_a_listeners_error_reaches_the_loop_and_not_the_watcher() -> None:
    mock, clock = MockChain(), Clock()
    clock.end = 12
    clock.script = dict.fromkeys(range(1, 12), mock.seal)
    errors: list[BaseException | None] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context.get("exception")))
    watcher = MetagraphWatcher(
        chain_over({"a": Node(mock)}, clock), POLICY, monotonic=lambda: clock.now, sleep=clock.sleep
    )

    def fail(_: MetagraphSnapshot | None, new: MetagraphSnapshot) -> None:
        raise RuntimeError(f"listener at {new.block}")

    watcher.add_listener(fail)
    watcher.start()
    await asyncio.wait_for(clock.finished.wait(), 20)
    await watcher.stop()
    assert len(errors) == 3
    assert all(isinstance(error, RuntimeError) for error in errors)


async def test_age_and_first() -> None:
    mock = MockChain()
    chain = Chain("mock", 72, substrate_factory=lambda _: MockSubstrate(mock), now=lambda: 500.0)
    now = 20.0
    watcher = MetagraphWatcher(chain, WatchPolicy(poll_s=0.01), elapsed=lambda: now)
    assert watcher.age() == math.inf
    watcher.start()
    snapshot = await asyncio.wait_for(watcher.first(), 5)
    await watcher.stop()
    await watcher.stop()
    assert snapshot is watcher.current
    assert snapshot.taken_at == 500.0
    now += 30.0
    assert watcher.age() == 30.0  # the wall clock, which may be set, has no part in it
