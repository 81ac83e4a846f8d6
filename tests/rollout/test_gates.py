"""The gates and their statistics: pure numbers in, verdicts out."""

from __future__ import annotations

import random
from dataclasses import replace
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.rollout.gates import AgreementCheck, Decision, Gates, Stats, judge, p99_limit, standard_error
from streetvision.rollout.stats import ALPHA, look_z, quantile, surely_above, wilson

GATES = Gates()
QUICK = tuple([0.01] * 200)
GOOD = Stats(
    samples=200,
    agreed=198,
    look=AgreementCheck(0, 200, 198),
    mean_shift=0.02,
    shift_error=0.002,
    images=200,
    spread=5.0,
    active_spread=5.0,
    seconds=QUICK,
    active_seconds=QUICK,
    asked=200,
    active_asked=200,
)


@pytest.mark.parametrize(
    ("hits", "n", "z", "low", "high"),
    [
        (0, 0, 1.96, 0.0, 1.0),
        (0, 10, 1.959964, 0.0, 0.2775),
        (10, 10, 1.959964, 0.7225, 1.0),
        (95, 100, 1.959964, 0.8882, 0.9785),
        (198, 200, 1.959964, 0.9643, 0.9973),
    ],
)
def test_wilson_gives_the_textbook_intervals(hits: int, n: int, z: float, low: float, high: float) -> None:
    assert wilson(hits, n, z) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 2000), st.floats(0, 1), st.floats(0.1, 4))
def test_wilson_holds_the_share_and_narrows_with_more_of_the_same(n: int, share: float, z: float) -> None:
    hits = round(share * n)
    low, high = wilson(hits, n, z)
    assert 0.0 <= low <= hits / n + 1e-9
    assert hits / n - 1e-9 <= high <= 1.0
    tighter = wilson(4 * hits, 4 * n, z)
    assert tighter[1] - tighter[0] < high - low


def test_the_looks_share_the_risk() -> None:
    from statistics import NormalDist

    spent = [1 - NormalDist().cdf(look_z(look)) for look in range(12)]
    assert spent[0] == pytest.approx(ALPHA / 2)
    assert sum(spent) < ALPHA


def test_a_candidate_just_below_the_wanted_agreement_is_rarely_promoted_however_often_it_is_asked() -> None:
    """The raw share, asked after every image, would promote more than half of such candidates."""
    rng = random.Random(5)
    promoted = naive = 0
    for _ in range(400):
        agreed, look, next_look, lucky = 0, None, 200, False
        for n in range(1, 1601):
            agreed += rng.random() < 0.94
            lucky |= n >= 200 and agreed / n >= 0.95
            if n == next_look:
                look, next_look = AgreementCheck(0 if look is None else look.number + 1, n, agreed), 2 * next_look
                stats = replace(GOOD, samples=n, agreed=agreed, look=look, images=n)
                if judge(stats, GATES).decision is Decision.PROMOTE:
                    promoted += 1
                    break
        naive += lucky
    assert promoted / 400 < ALPHA
    assert naive / 400 > 0.3


def test_quantiles_are_values_that_occurred() -> None:
    assert quantile([], 0.5) is None
    assert [quantile([1, 2, 3, 4], share) for share in (0.0, 0.25, 0.5, 0.99, 1.0)] == [1, 1, 2, 4, 4]


def test_the_standard_error_of_a_mean() -> None:
    values = [0.0, 0.1, 0.2, 0.5]
    mean = sum(values) / 4
    expected = (sum((value - mean) ** 2 for value in values) / 3 / 4) ** 0.5
    assert standard_error(sum(values), sum(value * value for value in values), 4) == pytest.approx(expected)
    assert standard_error(1.0, 1.0, 1) == float("inf")


def test_a_good_candidate_is_promoted_with_its_evidence() -> None:
    verdict = judge(GOOD, GATES)
    assert verdict.decision is Decision.PROMOTE
    assert verdict.why == "agrees on 198 of 200 different images, surely at least 96.4% (wanted: 95.0%)"
    assert len(verdict.evidence) == 4


WAITS = {
    "few samples": (replace(GOOD, samples=199, agreed=199, look=None), "199 of 200 different images were compared"),
    "agreement not sure": (
        replace(GOOD, agreed=193, look=AgreementCheck(0, 200, 193)),
        "the next look is at 400 images",
    ),
    "agreement fell since the look": (replace(GOOD, samples=300, agreed=280), "the next look is at 400 images"),
    "some errors": (replace(GOOD, images=200, failed=3), "it failed on 3 of 200 images"),
    "a shift that may be chance": (replace(GOOD, mean_shift=0.12, shift_error=0.02), "differ by 0.120 on average"),
    "few timed": (replace(GOOD, seconds=QUICK[:29]), "29 of its passes were timed"),
    "a slow p99": (replace(GOOD, seconds=(*QUICK[:197], 2.0, 2.0, 2.0)), "its p99 is 2.000 s (at most 0.850 s may)"),
    "nothing to compare": (
        replace(GOOD, seconds=tuple([1.0] * 200), active_seconds=()),
        "too few passes of the active",
    ),
    "nothing at all": (Stats(), "0 of 200 different images"),
}


@pytest.mark.parametrize("case", WAITS)
def test_what_is_not_sure_yet_waits(case: str) -> None:
    stats, says = WAITS[case]
    verdict = judge(stats, GATES)
    assert verdict.decision is Decision.WAIT
    assert any(says in line for line in verdict.evidence), verdict.evidence


ROLLBACKS = {
    "nan": (replace(GOOD, insane=1), "no finite number"),
    "constant": (replace(GOOD, spread=1e-4), "the same answer to the last 20 different images"),
    "errors": (replace(GOOD, samples=0, agreed=0, look=None, images=3, failed=3), "it failed on 3 of 3 images"),
    "disagreement": (replace(GOOD, samples=20, agreed=8, look=None), "it agrees on 8 of 20 images only"),
    "shift": (replace(GOOD, mean_shift=0.3, shift_error=0.01), "its probabilities differ by 0.300"),
    "slow": (replace(GOOD, seconds=(*QUICK[:100], *[1.0] * 100)), "100 of 200 of its passes took longer than 0.850 s"),
    "late": (replace(GOOD, asked=8, late=8), "too late for 8 of 8 requests, the active model for 0 of 200"),
    "late, and no active requests": (replace(GOOD, asked=4, late=4, active_asked=0), "too late for 4 of 4"),
}


@pytest.mark.parametrize("case", ROLLBACKS)
def test_what_is_surely_bad_is_ended(case: str) -> None:
    stats, says = ROLLBACKS[case]
    verdict = judge(stats, GATES)
    assert verdict.decision is Decision.ROLLBACK
    assert says in verdict.why


SPARED = {
    "two failures": replace(GOOD, images=2, failed=2),
    "three failures of a thousand": replace(GOOD, images=1000, failed=3),
    "one disagreement of one": replace(GOOD, samples=1, agreed=0, look=None),
    "pictures that all look alike": replace(GOOD, spread=0.0, active_spread=0.0),
    "late like the active model": replace(GOOD, asked=100, late=50, active_asked=400, active_late=180),
    "slow as such, but no slower than the active": replace(GOOD, seconds=(1.0,) * 200, active_seconds=(0.9,) * 200),
    "a faster one than the harmless": replace(GOOD, seconds=(0.5,) * 200),
    "one outlier": replace(GOOD, seconds=(*QUICK[:29], 9.0)),
}


@pytest.mark.parametrize("case", SPARED)
def test_bad_luck_ends_nobody(case: str) -> None:
    assert judge(SPARED[case], GATES).decision is not Decision.ROLLBACK


def test_the_limit_of_the_p99_is_the_ratio_or_what_is_harmless() -> None:
    assert p99_limit(replace(GOOD, active_seconds=(1.0,) * 30), GATES) == 3.0
    assert p99_limit(GOOD, GATES) == GATES.harmless_s
    assert p99_limit(replace(GOOD, active_seconds=QUICK[:29]), GATES) is None


def test_a_small_minimum_is_enough_for_a_small_trial() -> None:
    small = Gates(min_samples=5, min_agreement=0.3)
    few = replace(
        GOOD, samples=5, agreed=5, look=AgreementCheck(0, 5, 5), images=5, seconds=QUICK[:5], active_seconds=QUICK[:5]
    )
    assert judge(few, small).decision is Decision.PROMOTE


@given(st.integers(20, 400), st.data())
def test_more_agreement_is_never_judged_worse(n: int, data: st.DataObject) -> None:
    rank = {Decision.ROLLBACK: 0, Decision.WAIT: 1, Decision.PROMOTE: 2}
    agreed = data.draw(st.integers(0, n - 1))

    def decision(count: int) -> int:
        stats = replace(GOOD, samples=n, agreed=count, look=AgreementCheck(0, n, count), images=n)
        return rank[judge(stats, replace(GATES, min_samples=20)).decision]

    assert decision(agreed) <= decision(agreed + 1)


def test_a_candidate_at_the_wanted_agreement_is_hardly_ever_ended_by_chance() -> None:
    """Asked at every image of a whole trial."""
    rng = random.Random(7)
    lost = 0
    for _ in range(300):
        agreed = 0
        for n in range(1, 401):
            agreed += rng.random() < 0.95
            if surely_above(n - agreed, n, 1 - 0.95):
                lost += 1
                break
    assert lost / 300 < 0.02


@pytest.mark.parametrize(("n", "share"), [(20, 0.05), (200, 0.01), (37, 0.5)])
def test_surely_above_is_the_exact_binomial_tail(n: int, share: float) -> None:
    for hits in range(n + 1):
        tail = sum(comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(hits, n + 1))
        assert surely_above(hits, n, share) == (hits > share * n and tail < 1e-4)


def test_surely_above_at_the_edges_and_for_many() -> None:
    assert not surely_above(0, 0, 0.0)
    assert surely_above(1, 10, 0.0)
    assert not surely_above(10, 10, 1.0)
    assert surely_above(5600, 100_000, 0.05)
    assert not surely_above(5100, 100_000, 0.05)
    assert surely_above(100_000, 100_000, 0.05)
