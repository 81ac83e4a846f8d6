"""The real SDK client above the mocked chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from bittensor import ChainError, Client, ServeAxon, SetWeights

from streetvision.chain.client import Chain
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.config import MockConfig, dev_hotkey
from streetvision.chain.mock.substrate import MockSubstrate


def connected(mock: MockChain) -> Chain:
    return Chain("mock", mock.config.netuid, substrate_factory=lambda _: MockSubstrate(mock), now=lambda: 1000.0)


async def test_snapshot_shows_the_development_keys_where_they_belong() -> None:
    snapshot = await connected(MockChain()).snapshot()
    names = ["Alice", "Bob", "Charlie", "Dave", "Miner"]
    assert [n.hotkey for n in snapshot.neurons[:5]] == [dev_hotkey(name).ss58_address for name in names]
    assert [n.validator_permit for n in snapshot.neurons[:5]] == [True, True, True, False, False]
    assert snapshot.owner_hotkey == dev_hotkey("Alice").ss58_address
    assert snapshot.find(dev_hotkey("Eve").ss58_address) is None
    assert (snapshot.netuid, snapshot.tempo, len(snapshot.neurons), snapshot.max_uids) == (72, 360, 32, 64)
    assert snapshot.age(1010.0) == 10.0
    assert snapshot.registration_price == pytest.approx(0.1)
    assert sum(n.incentive for n in snapshot.neurons) == pytest.approx(1.0, abs=1e-3)


async def test_the_miner_may_start_unregistered() -> None:
    snapshot = await connected(MockChain(MockConfig(miner_registered=False))).snapshot()
    assert snapshot.find(dev_hotkey("Miner").ss58_address) is None
    assert len(snapshot.neurons) == 32


async def test_serving_publishes_once_and_then_meets_the_rate_limit() -> None:
    mock = MockChain()
    client = Client("local", substrate=MockSubstrate(mock))
    miner = dev_hotkey("Miner")
    first = await client.execute(ServeAxon(netuid=72, ip="203.0.113.7", port=8091), miner)
    assert first.success
    second = await client.execute(ServeAxon(netuid=72, ip="203.0.113.7", port=8092), miner)
    assert second.error is not None
    assert second.error.name == "ServingRateLimitExceeded"
    mock.advance(mock.config.serving_rate_limit)
    ipv6 = await client.execute(ServeAxon(netuid=72, ip="2001:db8::7", port=8092), miner)
    assert ipv6.success
    graph = await client.subnets.metagraph(72, commitments=False)
    assert graph is not None
    row = graph.by_hotkey(miner.ss58_address)
    assert row is not None
    assert row.axon == "[2001:db8::7]:8092"


async def test_serving_needs_a_registered_hotkey() -> None:
    client = Client("local", substrate=MockSubstrate(MockChain()))
    result = await client.execute(ServeAxon(netuid=72, ip="203.0.113.7", port=8091), dev_hotkey("Eve"))
    assert result.error is not None
    assert result.error.name == "HotKeyNotRegisteredInSubNet"


async def test_weights_set_by_extrinsic_count_in_the_next_epoch() -> None:
    mock = MockChain()
    client = Client("local", substrate=MockSubstrate(mock))
    for name in ("Alice", "Bob", "Charlie"):
        result = await client.execute(SetWeights(netuid=72, weights={"4": 1.0}), dev_hotkey(name))
        assert result.success, result.message
    mock.advance(mock.config.tempo)
    assert mock.state.rows[4].incentive == pytest.approx(1.0)


async def test_a_miner_without_a_permit_sets_no_weights() -> None:
    client = Client("local", substrate=MockSubstrate(MockChain()))
    result = await client.execute(SetWeights(netuid=72, weights={"5": 1.0}), dev_hotkey("Miner"))
    assert result.error is not None
    assert result.error.name == "NeuronNoValidatorPermit"


@pytest.mark.parametrize(
    ("read", "named"),
    [
        (lambda c: c.query(("SubtensorModule", "Rho"), [72]), "SubtensorModule.Rho"),
        (lambda c: c.query_map(("SubtensorModule", "Bonds"), [72]), "SubtensorModule.Bonds"),
        (lambda c: c.constant(("Babe", "EpochDuration")), "Babe.EpochDuration"),
        (lambda c: c.runtime(("NeuronInfoRuntimeApi", "get_neurons"), [72]), "NeuronInfoRuntimeApi.get_neurons"),
        (lambda c: c.compose(("Balances", "transfer_all", {})), "Balances.transfer_all"),
    ],
)
async def test_what_is_not_simulated_says_so(read: Callable[[Client], Awaitable[object]], named: str) -> None:
    client = Client("local", substrate=MockSubstrate(MockChain()))
    with pytest.raises(ChainError, match=named):
        await read(client)


async def test_reads_pinned_to_an_old_block_see_that_block() -> None:
    mock = MockChain()
    client = Client("local", substrate=MockSubstrate(mock))
    before = mock.head.number
    mock.deregister(dev_hotkey("Miner").ss58_address)
    old = await (await client.at(before)).subnets.metagraph(72, commitments=False)
    new = await client.subnets.metagraph(72, commitments=False)
    assert old is not None
    assert new is not None
    assert old.by_hotkey(dev_hotkey("Miner").ss58_address) is not None
    assert new.by_hotkey(dev_hotkey("Miner").ss58_address) is None
    mock.advance(400)
    with pytest.raises(ChainError, match="discarded"):
        await client.query(("SubtensorModule", "Burn"), [72], block=before)
