"""Standing: rank, emission and how the log tells them."""

from __future__ import annotations

import pytest

from streetvision.chain.metagraph import MetagraphSnapshot, Neuron
from streetvision.monitor.standing import describe, standing_of


def neuron(uid: int, incentive: float, *, permit: bool = False, emission: float = 1.0) -> Neuron:
    return Neuron(
        uid=uid, hotkey=f"hot{uid}", coldkey="cold", validator_permit=permit, stake=0.0, rank=incentive, trust=1.0,
        consensus=incentive, incentive=incentive, dividends=0.0, pruning_score=incentive, emission=emission,
        last_update=0, block_at_registration=0, axon=None,
    )  # fmt: skip


def snapshot(*neurons: Neuron, block: int = 100) -> MetagraphSnapshot:
    return MetagraphSnapshot(
        netuid=72, block=block, taken_at=0.0, tempo=360, owner_hotkey="hot0", max_uids=256, neurons=neurons
    )


def test_rank_counts_miners_only() -> None:
    graph = snapshot(neuron(0, 0.5, permit=True), neuron(1, 0.1), neuron(2, 0.3), neuron(3, 0.1), neuron(4, 0.0))
    standing = standing_of(graph, "hot3")
    assert standing is not None
    assert (standing.uid, standing.incentive_rank, standing.miners) == (3, 2, 4)
    assert standing.burn_share == pytest.approx(0.5)
    assert standing.emission_per_day == pytest.approx(20.0)


def test_unknown_hotkey_has_no_standing() -> None:
    assert standing_of(snapshot(neuron(1, 0.1)), "stranger") is None


def test_description_names_the_move() -> None:
    before = standing_of(snapshot(neuron(1, 0.1), neuron(2, 0.3)), "hot1")
    now = standing_of(snapshot(neuron(1, 0.4), neuron(2, 0.3)), "hot1")
    assert now is not None
    assert "rank 1 of 2 (was 2)" in describe(now, before)


def test_without_incentive_there_is_no_rank_to_speak_of() -> None:
    standing = standing_of(snapshot(neuron(0, 1.0, permit=True), neuron(1, 0.0), neuron(2, 0.0)), "hot1")
    assert standing is not None
    assert describe(standing, None) == "UID 1: no incentive, no emission (2 miners); 100% of the incentive is burned"
