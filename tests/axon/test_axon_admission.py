from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.axon.admission import Admission, SeenNonces, SkewTable, deadline_of
from streetvision.axon.config import AxonConfig
from streetvision.axon.quota import Bucket, ByteBudget, Quota
from streetvision.axon.server import OpenGate
from streetvision.axon.wire import Call, Dialect, Refused

from . import conftest as kit

NOW_NS = 1_700_000_000_000_000_000


def call(age_s: float = 0.0, signer: str = "ALICE", dialect: Dialect = Dialect.LEGACY) -> Call:
    nonce = NOW_NS - int(age_s * 1e9)
    return Call(dialect, getattr(kit, signer).ss58_address, nonce, "uuid", b"", 9.0)


def admission(*, good: bool = True, **settings: Any) -> Admission:
    config = AxonConfig(hotkey=kit.MINER.ss58_address, **settings)
    return Admission(config, lambda: kit.SNAPSHOT, OpenGate(), lambda *_: good)


def refusal(rules: Admission, request: Call) -> str:
    with pytest.raises(Refused) as refused:
        rules.screen(request, NOW_NS, 0.0)
    return refused.value.reason


@pytest.mark.parametrize(
    ("settings", "signer", "reason"),
    [
        ({}, "EVE", "unknown_hotkey"),
        ({}, "DAVE", "no_permit"),
        ({"force_validator_permit": False, "min_stake": 2.0}, "DAVE", "low_stake"),
        ({"allow_non_registered": True, "min_stake": 1.0}, "EVE", "low_stake"),
    ],
)
def test_who_may_not_ask(settings: dict[str, Any], signer: str, reason: str) -> None:
    assert refusal(admission(**settings), call(signer=signer)) == reason


@pytest.mark.parametrize(
    ("settings", "signer", "uid"),
    [
        ({}, "ALICE", 0),
        ({"force_validator_permit": False}, "DAVE", 3),
        ({"allow_non_registered": True}, "EVE", None),
    ],
)
def test_who_may_ask(settings: dict[str, Any], signer: str, uid: int | None) -> None:
    assert admission(**settings).screen(call(signer=signer), NOW_NS, 0.0).uid == uid


@pytest.mark.parametrize("age_s", [-32.9, -13.0, 0.0, 13.0, 32.9])
def test_a_legacy_validator_with_a_wrong_clock_is_served(age_s: float) -> None:
    assert admission().screen(call(age_s), NOW_NS, 0.0).uid == 0


def test_the_window_has_two_sides() -> None:
    rules = admission()
    assert refusal(rules, call(33.1)) == "stale_nonce"
    assert refusal(rules, call(-33.1)) == "future_nonce"


def test_btauths_window_follows_learned_skew_only() -> None:
    rules = admission()
    ahead = call(-5.0, dialect=Dialect.BTAUTH)
    assert refusal(rules, ahead) == "future_nonce"
    rules.skew.observe(ahead.hotkey, -5.0)
    assert rules.screen(ahead, NOW_NS, 0.0).uid == 0
    assert refusal(rules, call(10.1, dialect=Dialect.BTAUTH)) == "stale_nonce"


def test_only_a_verified_call_touches_the_tables() -> None:
    rules = admission(good=False)
    caller = rules.screen(call(), NOW_NS, 0.0)
    with pytest.raises(Refused, match="does not verify"):
        rules.prove(call(), caller, b"", NOW_NS, 0.0)
    assert (len(rules.nonces), len(rules.skew), len(rules.quota)) == (0, 0, 0)


def test_a_proven_call_is_a_replay_from_then_on() -> None:
    rules = admission()
    request = call(1.0)
    rules.prove(request, rules.screen(request, NOW_NS, 0.0), b"", NOW_NS, 0.0)
    assert refusal(rules, request) == "replayed_nonce"
    rules.screen(call(1.1), NOW_NS, 0.0)


def test_a_full_table_refuses_rather_than_forgets() -> None:
    rules = admission(nonces_per_hotkey=1)
    for age, full in ((1.0, False), (2.0, True)):
        request = call(age)
        caller = rules.screen(request, NOW_NS, 0.0)
        if full:
            with pytest.raises(Refused, match="Too many recent"):
                rules.prove(request, caller, b"", NOW_NS, 0.0)
        else:
            rules.prove(request, caller, b"", NOW_NS, 0.0)
    assert refusal(rules, call(1.0)) == "replayed_nonce"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.floats(0, 5)), max_size=200))
def test_nonces_are_remembered_as_long_as_promised_and_bounded(events: list[tuple[str, int, float]]) -> None:
    table = SeenNonces(10.0, per_hotkey=20, total=40)
    stored: dict[tuple[str, int], float] = {}
    now = 0.0
    for hotkey, nonce, step in events:
        now += step
        if (hotkey, nonce) in stored and now < stored[hotkey, nonce] + 10.0:
            assert table.seen(hotkey, nonce, now)
        elif not table.seen(hotkey, nonce, now) and table.store(hotkey, nonce, now, registered=True):
            stored[hotkey, nonce] = now
        assert len(table) <= 40
    table.seen("a", 0, now + 30.0)
    assert len(table) == 0


def test_strangers_cannot_fill_the_nonce_table() -> None:
    table = SeenNonces(10.0, per_hotkey=100, total=10)
    stored = [table.store(f"stranger{n}", n, 0.0, registered=False) for n in range(10)]
    assert stored == [True] * 5 + [False] * 5
    assert table.store("validator", 1, 0.0, registered=True)


def test_skew_is_the_least_offset_and_the_rest_is_transit() -> None:
    table = SkewTable(20.0)
    assert table.observe("a", -8.0) == 0.0
    assert table.observe("a", -7.5) == pytest.approx(0.5)
    assert table.observe("a", -8.2) == 0.0
    assert table.observe("a", -7.5) == pytest.approx(0.7)
    assert table.offset("a") == -8.2
    assert table.offset("b") is None


def test_skew_is_clamped_forgets_and_is_bounded() -> None:
    table = SkewTable(20.0, samples=3, callers=2)
    assert table.observe("a", 25.0) == pytest.approx(5.0)
    for _ in range(3):
        table.observe("a", 3.0)
    assert table.offset("a") == 3.0
    table.observe("b", 0.0)
    table.observe("c", 0.0)
    assert (len(table), table.offset("a")) == (2, None)


@given(st.floats(-100, 100), st.floats(0.01, 9.0))
def test_the_deadline_stays_in_its_bounds(age_s: float, timeout_s: float) -> None:
    config = AxonConfig(hotkey="x")
    deadline = deadline_of(config, timeout_s, 1000.0, age_s)
    latest = 1000.0 + timeout_s - config.deadline_margin_s
    assert latest - config.max_transit_s <= deadline <= latest


def test_a_bucket_refills() -> None:
    bucket = Bucket(2.0, 3.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(0.5), bucket.take(0.5)] == [True, False]
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]


def test_the_quota_is_each_hotkeys_own_and_bounded() -> None:
    quota = Quota(60.0, 1, callers=2)
    assert [quota.take("a", 0.0), quota.take("a", 0.0), quota.take("b", 0.0), quota.take("c", 0.0)] == [
        True,
        False,
        True,
        True,
    ]
    assert len(quota) == 2
    assert all(Quota(0.0, 1).take("a", 0.0) for _ in range(100))


@pytest.mark.parametrize(("per_minute", "burst", "at_once"), [(5, 120, 5), (0.5, 120, 1), (600, 120, 120), (5, 2, 2)])
def test_a_burst_is_never_more_than_a_minutes_quota(per_minute: float, burst: int, at_once: int) -> None:
    quota = Quota(per_minute, burst)
    assert [quota.take("a", 0.0) for _ in range(200)].count(True) == at_once


def test_the_byte_budget_refuses_what_does_not_fit() -> None:
    budget = ByteBudget(100)
    budget.reserve(80)
    with pytest.raises(Refused, match="Too many large"):
        budget.reserve(21)
    budget.release(80)
    budget.reserve(100)
    assert budget.used == 100
