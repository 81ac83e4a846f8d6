"""The traffic counter, the chain's order of eviction, and the points made of snapshots of the mocked chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.chain.client import Chain
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.config import MockConfig, dev_hotkey
from streetvision.chain.mock.steps import pruning_order as chains_order
from streetvision.chain.mock.substrate import MockSubstrate
from streetvision.engine.types import Prediction, Timings
from streetvision.models.router import RouterOutcome
from streetvision.monitor.point import point_of
from streetvision.monitor.pruning import place_of, pruning_order
from streetvision.monitor.traffic import HEADROOM_EDGES, Traffic, merged, quantile
from streetvision.monitor.traffic_counter import TrafficCounter

MINER = dev_hotkey("Miner").ss58_address
T0 = 1_800_000_000.0


def record(
    arrival: float, probability: float | None = 0.7, *, status: int = 200, reason: str = "ok", **changes: Any
) -> RequestRecord:
    prediction = None
    if probability is not None:
        embedding = np.zeros(1, np.float32)
        prediction = Prediction(probability, 0.0, embedding, "1.0.0", 1, 1, 9, 9, Timings(0, 0, 0))
    made = RequestRecord(
        dialect=Dialect.LEGACY, hotkey="v1", uid=1, stake=5.0, authenticated=True, status=status, reason=reason,
        image=None, prediction=prediction, arrival=arrival, headroom=8.2, stages=StageTimings(0.1, 0.1, 0.1, 0.0),
        remote="",
    )  # fmt: skip
    return replace(made, **changes)


# -- counter -----------------------------------------------------------------------------------------------------------


def test_a_routers_answers_are_counted_by_its_second_members_part() -> None:
    counter = TrafficCounter(T0)
    for outcome in (None, RouterOutcome.SURE, RouterOutcome.FAILED, RouterOutcome.FAILED):
        one = record(T0 + 10)
        assert one.prediction is not None
        counter(replace(one, prediction=replace(one.prediction, router=outcome)))
    (bucket,) = counter.traffic(()).buckets
    assert bucket.router == {"sure": 1, "failed": 2}
    assert merged([bucket, bucket], bucket.start, 1200.0).router == {"sure": 2, "failed": 4}


def test_requests_are_counted_by_what_became_of_them() -> None:
    counter = TrafficCounter(T0)
    for one in (
        record(T0 + 10),
        record(T0 + 40, 0.5, hotkey="v2"),
        record(T0 + 50, None, status=503, reason="overloaded"),
        record(T0 + 60, None, status=401, reason="stale_nonce", authenticated=False),
        record(T0 + 70, None, status=404, reason="unknown_path", authenticated=False, hotkey=None),
    ):
        counter(one)
    traffic = counter.traffic(())
    (bucket,) = traffic.buckets
    assert (bucket.requests, bucket.answered, bucket.positive) == (3, 2, 1)
    assert bucket.failed == {"overloaded": 1}
    assert bucket.rejected == {"stale_nonce": 1}
    assert bucket.validators == {"v1": 2, "v2": 1}
    assert bucket.longest_gap == 30.0
    assert (bucket.last, traffic.last_request) == (T0 + 50, T0 + 50)
    assert traffic.seen == {"v1": T0 + 50, "v2": T0 + 40}
    assert sum(bucket.headroom) == sum(bucket.latency) == sum(bucket.scores) == 2


def test_buckets_close_every_ten_minutes_even_when_empty() -> None:
    counter = TrafficCounter(T0 + 100)
    assert counter.close_due(T0 + 599) == ()
    (first,) = counter.close_due(T0 + 600)
    assert (first.start, first.span, first.requests) == (T0 + 100, 500.0, 0)
    counter(record(T0 + 700))
    (second,) = counter.close_due(T0 + 1_250)
    assert (second.start, second.requests) == (T0 + 600, 1)
    assert [b.start for b in counter.traffic((first, second)).buckets] == [T0 + 100, T0 + 600, T0 + 1_200]


def test_a_restart_within_ten_minutes_makes_a_bucket_of_its_own() -> None:
    counter = TrafficCounter(T0)
    counter(record(T0 + 50))
    (before,) = counter.drain(T0 + 60)
    after = TrafficCounter(T0 + 61)
    assert [b.requests for b in after.traffic((before,)).buckets] == [1, 0]


@pytest.mark.parametrize(("probability", "index"), [(0.0, 0), (0.05, 1), (0.9999, 19), (1.0, 19)])
def test_every_score_has_a_bin(probability: float, index: int) -> None:
    counter = TrafficCounter(T0)
    counter(record(T0, probability))
    assert counter.traffic(()).buckets[0].scores[index] == 1


@pytest.mark.parametrize(("headroom", "index"), [(-3.0, 0), (0.0, 0), (0.05, 1), (1.0, 4), (30.0, 14)])
def test_every_headroom_has_a_bin(headroom: float, index: int) -> None:
    counter = TrafficCounter(T0)
    counter(record(T0, headroom=headroom))
    assert counter.traffic(()).buckets[0].headroom[index] == 1


def test_callers_are_remembered_up_to_a_bound() -> None:
    counter = TrafficCounter(T0)
    for i in range(2_000):
        counter(record(T0 + i, hotkey=f"v{i}"))
    assert len(counter.traffic(()).seen) == 1_024


def test_quantiles_of_histograms() -> None:
    counts = [0] * (len(HEADROOM_EDGES) + 1)
    counts[4], counts[-1] = 1, 99
    assert quantile(counts, HEADROOM_EDGES, 0.01) == 1.0
    assert quantile(counts, HEADROOM_EDGES, 0.5) == float("inf")
    with pytest.raises(ValueError, match="empty"):
        quantile([0, 0], [1.0], 0.5)


def test_traffic_between_takes_starts_in_a_half_open_range(bucket: Any) -> None:
    traffic = Traffic(tuple(bucket(float(t)) for t in (0, 600, 1_200)))
    assert [b.start for b in traffic.between(0, 1_200)] == [0, 600]
    assert traffic.total(600, 9_999).requests == 60
    assert traffic.latest(31, 9_999, 99_999).start == 600
    assert traffic.latest(31, 0, 99_999).answered == 0


# -- the chain ---------------------------------------------------------------------------------------------------------


def chain_on(mock: MockChain) -> Chain:
    return Chain("mock", 72, substrate_factory=lambda _: MockSubstrate(mock))


@pytest.mark.parametrize("least", [0, 10, 40])
async def test_our_order_of_eviction_is_the_chains(least: int) -> None:
    mock = MockChain(MockConfig(neurons=40, max_uids=40, min_non_immune_uids=least))
    mock.advance(400)
    for name in ("a", "b", "c"):
        mock.register_dev(name)
        mock.advance(30)
    chain = chain_on(mock)
    snapshot = await chain.snapshot()
    assert [n.uid for n in pruning_order(snapshot)] == [row.uid for row in chains_order(mock.state)]
    victim = pruning_order(snapshot)[0]
    mock.register_dev("d")
    assert (await chain.snapshot()).find(victim.hotkey) is None
    await chain.close()


async def test_the_place_without_immunity_is_the_one_after_it() -> None:
    mock = MockChain(MockConfig(neurons=40, max_uids=40, immunity_period=500))
    mock.advance(10)
    chain = chain_on(mock)
    snapshot = await chain.snapshot()
    own = snapshot.by_hotkey[MINER]
    now = place_of(snapshot, own)
    assert now.immune_until == own.block_at_registration + 500
    mock.advance(now.immune_until - snapshot.block)
    later = await chain.snapshot()
    after = place_of(later, later.by_hotkey[MINER])
    assert after.position == after.unprotected
    owner = place_of(later, later.by_hotkey[later.owner_hotkey])
    assert owner.position is None
    await chain.close()


async def test_snapshots_carry_pool_price_collateral_limits_and_block_time() -> None:
    mock = MockChain(MockConfig(alpha_price=0.05, miner_collateral=7.5, min_non_immune_uids=3, immune_owner_uids=2))
    chain = chain_on(mock)
    snapshot = await chain.snapshot()
    assert snapshot.alpha_price == pytest.approx(0.05)
    assert snapshot.by_hotkey[MINER].collateral == 7.5
    assert snapshot.by_hotkey[snapshot.owner_hotkey].collateral == 0.0
    assert (snapshot.min_non_immune_uids, snapshot.immune_owner_uids) == (3, 2)
    assert snapshot.block_time == mock.state.timestamp_ms / 1000
    assert snapshot.owner_coldkey == mock.state.rows[0].coldkey
    await chain.close()


async def test_a_runtime_without_the_pruning_limits_still_gives_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    from bittensor import ChainError

    mock = MockChain()
    whole = MockSubstrate.query

    async def query(self: MockSubstrate, module: str, item: str, *rest: Any, **more: Any) -> Any:
        if item == "MinNonImmuneUids":
            raise ChainError("no such storage item")
        return await whole(self, module, item, *rest, **more)

    monkeypatch.setattr(MockSubstrate, "query", query)
    chain = chain_on(mock)
    snapshot = await chain.snapshot()
    assert (snapshot.min_non_immune_uids, snapshot.block_time) == (None, None)
    assert len(pruning_order(snapshot)) == len(snapshot.neurons) - 1
    await chain.close()


async def test_a_point_of_the_mocked_chain() -> None:
    mock = MockChain(MockConfig())
    mock.give_scores(mock.state.rows[0].hotkey, {MINER: 0.9})
    mock.advance(400)
    chain = chain_on(mock)
    point = point_of(await chain.snapshot(), MINER, None)
    assert point.incentive > 0
    assert point.rank == 1
    assert point.tao_per_day == pytest.approx(point.emission * 20 * 0.02)
    assert (point.validators, point.active_validators, point.burn_share) == (3, 3, 0.0)
    mock.halt()
    mock.advance(360)
    halted = point_of(await chain.snapshot(), MINER, point)
    assert halted.burn_share == pytest.approx(1.0)
    assert halted.paid_miners == 0
    mock.deregister(MINER)
    gone = point_of(await chain.snapshot(), MINER, halted)
    assert (gone.registered, gone.rank, gone.position, gone.registrations) == (False, None, None, 1)
    await chain.close()
