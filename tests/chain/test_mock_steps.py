"""Blocks, prices, pruning and scores on the mocked chain."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.config import RAO, MockConfig, dev_hotkey
from streetvision.chain.mock.steps import is_immune, pruning_order

MINER = dev_hotkey("Miner").ss58_address
FULL = MockConfig(neurons=32, max_uids=32, min_non_immune_uids=10)


def incentive_rank(mock: MockChain, hotkey: str) -> int:
    order = sorted(mock.state.rows, key=lambda row: -row.incentive)
    return [row.hotkey for row in order].index(hotkey)


def test_the_price_halves_by_half_life_and_stops_at_the_minimum() -> None:
    mock = MockChain()
    assert mock.state.burn == RAO // 10
    mock.advance(360)
    assert mock.state.burn == pytest.approx(RAO / 20, rel=1e-6)
    mock.advance(180)
    assert mock.state.burn == pytest.approx(RAO / 20 / 2**0.5, rel=1e-6)
    mock.advance(20_000)
    assert mock.state.burn == mock.config.min_burn_tao * RAO


@given(st.integers(0, 2_000), st.integers(1, 500))
@settings(deadline=None, max_examples=20)
def test_the_price_never_rises_by_itself(first: int, more: int) -> None:
    mock = MockChain()
    state = replace(mock.state, block=mock.state.block + first)
    assert replace(state, block=state.block + more).burn <= state.burn


def test_epochs_run_once_a_tempo() -> None:
    mock = MockChain(MockConfig(tempo=10))
    first = mock.state.last_epoch
    mock.advance(9)
    assert mock.state.last_epoch == first
    mock.advance()
    assert mock.state.last_epoch == first + 10
    assert mock.state.epoch_index == 2


def test_a_block_lasts_block_time_on_the_chains_clock() -> None:
    mock = MockChain()
    before = mock.state.timestamp_ms
    mock.advance(3)
    assert mock.state.timestamp_ms - before == 36_000


def test_a_better_score_moves_the_miner_up() -> None:
    mock = MockChain(MockConfig(tempo=5))
    ranks = []
    for score in (0.0, 0.3, 0.6, 0.95):
        mock.give_scores(dev_hotkey("Alice").ss58_address, {MINER: score})
        mock.advance(5)
        ranks.append(incentive_rank(mock, MINER))
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[0] > 20
    assert ranks[-1] == 0


def test_a_score_is_forgotten_after_its_time() -> None:
    mock = MockChain(MockConfig(tempo=5, score_ttl_tempos=2))
    mock.give_scores(dev_hotkey("Bob").ss58_address, {MINER: 0.9})
    mock.advance(10)
    assert mock.state.rows[4].incentive > 0
    mock.advance(5)
    assert mock.state.rows[4].incentive == 0


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), True, "1"])
def test_a_score_outside_its_range_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="score"):
        MockChain().give_scores(dev_hotkey("Alice").ss58_address, {MINER: score})


@pytest.mark.parametrize("name", ["Dave", "Eve"])
def test_scores_need_a_permit(name: str) -> None:
    with pytest.raises(LookupError, match="permit"):
        MockChain().give_scores(dev_hotkey(name).ss58_address, {MINER: 0.5})


def test_halted_validators_burn_everything() -> None:
    mock = MockChain(MockConfig(tempo=5))
    mock.give_scores(dev_hotkey("Alice").ss58_address, {MINER: 0.9})
    mock.halt()
    mock.advance(5)
    assert mock.state.rows[0].incentive == pytest.approx(1.0)
    assert mock.state.rows[4].incentive == 0.0
    mock.halt(False)
    mock.advance(5)
    assert mock.state.rows[0].incentive == 0.0
    assert mock.state.rows[4].incentive > 0.0


def test_a_deregistered_hotkey_loses_its_uid_to_a_newcomer() -> None:
    mock = MockChain()
    mock.deregister(MINER)
    row = mock.state.rows[4]
    assert mock.state.find(MINER) is None
    assert is_immune(mock.state, row)
    assert len(mock.state.rows) == 32
    assert mock.register_dev("Miner").uid == 32
    with pytest.raises(KeyError):
        mock.deregister(dev_hotkey("Eve").ss58_address)
    with pytest.raises(ValueError, match="already registered"):
        mock.register_dev("Miner")


def test_pruning_takes_the_non_immune_with_the_least_emission_then_the_oldest() -> None:
    mock = MockChain(FULL)
    expected = sorted(
        (row for row in mock.state.rows if row.uid != 0 and not is_immune(mock.state, row)),
        key=lambda row: (row.emission, row.registered_at, row.uid),
    )
    assert len(expected) > 10
    order = pruning_order(mock.state)
    assert order[: len(expected) - 10] == tuple(expected[: len(expected) - 10])
    assert order[0].hotkey == dev_hotkey("Dave").ss58_address
    uid = order[0].uid
    assert mock.register_dev("Eve").uid == uid
    assert mock.state.find(dev_hotkey("Dave").ss58_address) is None


def test_pruning_turns_to_the_immune_when_few_are_not() -> None:
    mock = MockChain(replace(FULL, min_non_immune_uids=31))
    assert is_immune(mock.state, pruning_order(mock.state)[0])


def test_an_evicted_validator_leaves_no_scores_behind() -> None:
    mock = MockChain(MockConfig(tempo=5))
    bob = dev_hotkey("Bob").ss58_address
    mock.give_scores(bob, {MINER: 0.9})
    mock.deregister(bob)
    mock.advance(5)
    assert bob not in mock.state.scores
    assert mock.state.rows[4].incentive == 0.0


def test_a_registration_starts_without_the_scores_of_its_former_life() -> None:
    mock = MockChain(MockConfig(tempo=5))
    mock.give_scores(dev_hotkey("Bob").ss58_address, {MINER: 0.9})
    mock.deregister(MINER)
    uid = mock.register_dev("Miner").uid
    mock.advance(5)
    assert mock.state.rows[uid].incentive == 0.0


def test_the_owners_key_is_immortal() -> None:
    mock = MockChain(replace(FULL, min_non_immune_uids=0))
    assert 0 not in {row.uid for row in pruning_order(mock.state)}
    assert len(pruning_order(mock.state)) == 31


def test_validators_can_be_pruned() -> None:
    uids = {row.uid for row in pruning_order(MockChain(FULL).state)}
    assert {1, 2} <= uids


@pytest.mark.parametrize("neurons", [4, 300])
def test_an_impossible_subnet_is_refused(neurons: int) -> None:
    with pytest.raises(ValueError, match="neurons"):
        MockConfig(neurons=neurons, max_uids=neurons)


async def test_blocks_come_by_the_clock_and_are_announced() -> None:
    mock = MockChain()
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    headers = mock.headers()
    waiting = asyncio.ensure_future(anext(headers))
    await asyncio.sleep(0)
    task = asyncio.create_task(mock.run(sleep))
    header = await waiting
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await headers.aclose()
    assert header["number"] == mock.config.start_block + 1
    assert header["parentHash"] == mock.block_hash(mock.config.start_block)
    assert set(pauses) == {12.0}


async def test_a_new_block_time_takes_effect_at_once() -> None:
    mock = MockChain(MockConfig(block_time_s=3600.0))
    task = asyncio.create_task(mock.run())
    await asyncio.sleep(0)
    mock.set_block_time(0.005)
    headers = mock.headers()
    header = await asyncio.wait_for(anext(headers), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await headers.aclose()
    assert header["number"] > mock.config.start_block
    with pytest.raises(ValueError, match="block time"):
        mock.set_block_time(0)
