"""The published endpoint: on the mocked chain, with the SDK's real ServeAxon above it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from streetvision.chain.client import Chain
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.config import MockConfig, dev_hotkey
from streetvision.chain.mock.substrate import MockSubstrate
from streetvision.errors import OperatorError
from streetvision.miner.endpoint import Endpoint
from streetvision.miner.endpoint_publisher import REFUSED_RETRY_S, EndpointPublisher

HOTKEY = dev_hotkey("Miner")
OURS = Endpoint("203.0.113.7", 8091)


class Pauses:
    """A sleep that records, lets a test act, and stops the task after so many pauses."""

    def __init__(self, most: int) -> None:
        self.seconds: list[float] = []
        self._most = most
        self.then: Callable[[], object] = lambda: None

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.then()
        if len(self.seconds) >= self._most:
            raise asyncio.CancelledError


@pytest.fixture
def mock() -> MockChain:
    return MockChain(MockConfig())


@pytest.fixture
def chain(mock: MockChain) -> Chain:
    return Chain("mock", 72, substrate_factory=lambda _: MockSubstrate(mock))


async def test_published_once_then_left_alone(mock: MockChain, chain: Chain) -> None:
    publisher = EndpointPublisher(chain, HOTKEY)
    await publisher.publish(OURS)
    blocks = mock.head.number
    await publisher.publish(OURS)
    assert mock.head.number == blocks  # no extrinsic, no block
    own = (await chain.snapshot()).find(HOTKEY.ss58_address)
    assert own is not None
    assert own.axon == "203.0.113.7:8091"


@pytest.mark.parametrize("endpoint", [OURS, Endpoint("2001:db8::7", 8091)])
async def test_the_snapshot_shows_the_endpoint_as_we_write_it(chain: Chain, endpoint: Endpoint) -> None:
    publisher = EndpointPublisher(chain, HOTKEY)
    await publisher.publish(endpoint)
    publisher.on_snapshot(None, await chain.snapshot())
    assert not publisher._wanted.is_set()


async def test_a_rate_limited_change_waits_and_then_happens(mock: MockChain, chain: Chain) -> None:
    await EndpointPublisher(chain, HOTKEY).publish(Endpoint("203.0.113.8", 8091))
    pauses = Pauses(2)
    pauses.then = lambda: mock.advance(60)
    publisher = EndpointPublisher(chain, HOTKEY, sleep=pauses)
    await publisher.publish(OURS)  # the chain goes on showing the other one
    task = asyncio.create_task(publisher.run())
    while (await chain.snapshot()).by_hotkey[HOTKEY.ss58_address].axon != str(OURS):
        await asyncio.sleep(0)
    task.cancel()
    assert pauses.seconds == [pytest.approx(50 * 12.0)]


async def test_a_refusal_is_tried_again_later(mock: MockChain, chain: Chain) -> None:
    mock.deregister(HOTKEY.ss58_address)
    pauses = Pauses(2)
    publisher = EndpointPublisher(chain, HOTKEY, sleep=pauses)
    with pytest.raises(OperatorError, match="not registered"):
        await publisher.publish(OURS)
    publisher.request()
    with pytest.raises(asyncio.CancelledError):
        await publisher.run()
    assert pauses.seconds == [REFUSED_RETRY_S, REFUSED_RETRY_S]


async def test_an_unregistered_hotkey_asks_for_nothing(mock: MockChain, chain: Chain) -> None:
    mock.deregister(HOTKEY.ss58_address)
    publisher = EndpointPublisher(chain, HOTKEY)
    publisher.endpoint = OURS
    publisher.on_snapshot(None, await chain.snapshot())
    assert not publisher._wanted.is_set()


async def test_before_there_is_an_endpoint_nothing_is_published(mock: MockChain, chain: Chain) -> None:
    pauses = Pauses(1)
    publisher = EndpointPublisher(chain, HOTKEY, sleep=pauses)
    publisher.on_snapshot(None, await chain.snapshot())
    publisher.request()
    blocks, task = mock.head.number, asyncio.create_task(publisher.run())
    for _ in range(10):
        await asyncio.sleep(0)
    assert (mock.head.number, pauses.seconds, task.done()) == (blocks, [], False)
    task.cancel()


async def test_another_endpoint_on_the_chain_asks_for_ours(chain: Chain) -> None:
    publisher = EndpointPublisher(chain, HOTKEY)
    publisher.endpoint = OURS
    publisher.on_snapshot(None, await chain.snapshot())
    assert publisher._wanted.is_set()


async def test_a_request_cuts_the_wait_short(mock: MockChain, chain: Chain) -> None:
    row = mock.state.rows[4]
    assert row.hotkey == HOTKEY.ss58_address
    mock.deregister(HOTKEY.ss58_address)
    refused = asyncio.Event()

    async def sleep_for_ever(_: float) -> None:
        refused.set()
        await asyncio.Event().wait()

    publisher = EndpointPublisher(chain, HOTKEY, sleep=sleep_for_ever)
    publisher.endpoint = OURS
    publisher.request()
    task = asyncio.create_task(publisher.run())
    await asyncio.wait_for(refused.wait(), 10)
    mock.register(HOTKEY.ss58_address, row.coldkey)
    publisher.request()
    async with asyncio.timeout(10):
        while (await chain.snapshot()).by_hotkey[HOTKEY.ss58_address].axon != str(OURS):
            await asyncio.sleep(0.01)
    task.cancel()
