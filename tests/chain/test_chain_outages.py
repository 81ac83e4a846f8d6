"""The facade when endpoints die, hang or go silent, and come back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streetvision.chain.client import Chain
from streetvision.chain.connection import ChainAwayError, within
from streetvision.chain.endpoints import endpoints_of
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.config import dev_hotkey
from streetvision.chain.mock.substrate import MockSubstrate
from streetvision.errors import ConfigError, OperatorError

from .nodes import Clock, Node, chain_over


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
    with pytest.raises(ChainAwayError, match=r"a: connection refused; b: no answer within 0\.4 s"):
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
