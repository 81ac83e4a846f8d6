"""The watcher when endpoints die, stand still, lag, serve another chain, or the chain is reorganised."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from bittensor import ChainError

from streetvision.chain.client import Chain
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.config import dev_hotkey
from streetvision.chain.mock.substrate import MockSubstrate
from streetvision.chain.watcher import REVERSIBLE, MetagraphWatcher, WatchPolicy
from streetvision.monitor.history import History

from .nodes import POLICY, Clock, Node, chain_over, watch


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


async def test_a_stalled_node_and_one_that_lags_wipe_no_history(tmp_path: Path) -> None:
    """A stands still at the head, B is 20 blocks behind and lives: nothing older is handed out, until B is past A."""
    stuck, behind = MockChain(), MockChain()
    stuck.advance(30)
    behind.advance(10)
    nodes = {"a": Node(stuck), "b": Node(behind)}
    history = History(tmp_path, dev_hotkey("Miner").ss58_address, 72)
    lags: list[int] = []

    def script(n: int, watcher: MetagraphWatcher) -> None:
        if nodes["b"].opened:
            behind.seal()
        lags.append(watcher.behind)
        if n == 1 and watcher.current is not None:
            now = watcher.current
            for block in range(now.block - 499, now.block + 1):
                history.add(replace(now, block=block, taken_at=float(block)))
            watcher.add_listener(remember)

    def remember(_: MetagraphSnapshot | None, new: MetagraphSnapshot) -> None:
        history.add(replace(new, taken_at=float(new.block)))

    watcher, heard, _ = await watch(nodes, 45, script)
    assert [new.block for _, new in heard] == sorted(new.block for _, new in heard)
    assert max(lags) == 20
    assert watcher.current is not None
    assert watcher.current.block > stuck.head.number
    assert watcher.behind == 0
    kept = [point.block for point in history.points]
    assert kept[:500] == list(range(stuck.head.number - 499, stuck.head.number + 1))
    assert kept[500:] == [new.block for _, new in heard[1:]]
    history.close()


async def test_a_node_that_stays_behind_is_left_when_its_patience_is_over() -> None:
    ahead, behind = MockChain(), MockChain()
    ahead.advance(50)
    nodes = {"a": Node(ahead), "b": Node(behind)}

    def script(n: int, _: MetagraphWatcher) -> None:
        behind.seal()
        nodes["a"].mood = "dead" if 2 <= n < 5 else "up"

    _, _, clock = await watch(nodes, 20, script)
    assert (nodes["b"].opened, nodes["b"].closed) == (1, 1)
    assert nodes["a"].opened == 2
    assert clock.now > POLICY.stall_s


async def test_a_node_of_another_chain_is_left_at_once() -> None:
    ours, other = MockChain(run="ours"), MockChain(run="another")
    other.advance(1000)
    nodes = {"a": Node(ours), "b": Node(other)}

    def script(n: int, _: MetagraphWatcher) -> None:
        ours.seal()
        nodes["a"].mood = "dead" if 2 <= n < 4 else "up"

    watcher, heard, _ = await watch(nodes, 20, script)
    assert nodes["b"].opened >= 1
    assert {new.chain for _, new in heard} == {f"1:{ours.block_hash(1)}"}
    assert watcher.current is not None
    assert watcher.current.block > ours.config.start_block + 10


class Forked(MockChain):
    """From some block on it is another branch of the same chain."""

    fork: int | None = None

    def block_hash(self, number: int) -> str:
        branch = self.fork is not None and number >= self.fork
        return super().block_hash(number)[:-2] + "ff" if branch else super().block_hash(number)


async def test_a_reorganised_chain_takes_back_its_last_snapshots_and_no_more() -> None:
    mock = Forked()
    start = mock.config.start_block

    def script(n: int, _: MetagraphWatcher) -> None:
        if n == 17:
            mock.fork = start + 8
        mock.seal()

    _, heard, _ = await watch({"a": Node(mock)}, 28, script)
    assert [(new.block - start, new.reorganised_from) for _, new in heard] == [
        (0, None), (5, None), (10, None), (15, None), (20, start + 10), (25, None),
    ]  # fmt: skip


async def test_a_reorganisation_is_bounded() -> None:
    mock = Forked()

    def script(n: int, _: MetagraphWatcher) -> None:
        if n == 80:
            mock.fork = mock.config.start_block
        mock.seal()

    _, heard, _ = await watch({"a": Node(mock)}, 86, script)
    taken = [index for index, (_, new) in enumerate(heard) if new.reorganised_from is not None]
    assert len(taken) == 1
    assert heard[taken[0]][1].reorganised_from == heard[taken[0] - REVERSIBLE][1].block


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


@pytest.mark.parametrize("answer", [None, 7, "0x12", "x" * 10_000, ["0x"]])
async def test_a_node_that_answers_nonsense_for_a_hash_says_nothing(answer: object) -> None:
    class Babbling(MockChain):
        def block_hash(self, number: int) -> str:
            return answer if number < 2 else super().block_hash(number)  # type: ignore[return-value]  # hostile

    mock = Babbling()
    chain = Chain("mock", 72, substrate_factory=lambda _: MockSubstrate(mock))
    snapshot = await chain.snapshot()
    assert snapshot.chain is None
    assert snapshot.block_hash == mock.head.hash


async def test_a_chain_whose_first_block_is_not_kept_is_told_by_its_genesis() -> None:
    class Warped(MockSubstrate):
        async def block_hash(self, block: int | None = None) -> str:
            if block == 1:
                raise ChainError("no block at height 1")
            return await super().block_hash(block)

    mock = MockChain()
    chain = Chain("mock", 72, substrate_factory=lambda _: Warped(mock))
    assert await chain.identity() == f"0:{mock.block_hash(0)}"
