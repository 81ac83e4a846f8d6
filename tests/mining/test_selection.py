"""Selection and scores: properties that hold for any scores, and cases that can be checked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streetvision.mining.scores import DISAGREEMENT, MISTAKENNESS, SHARES, UNCERTAINTY, disagreement, ranks, uncertainty
from streetvision.mining.selection import Selection, explain, select_balanced
from streetvision.sources.neighbours import close_pairs, group, near_any, unit

DISTANCE = 0.05
maybe = st.one_of(st.just(np.nan), st.floats(-5, 5, width=32))


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(0, 24))
    names = draw(st.lists(st.sampled_from(sorted(SHARES)), unique=True, max_size=4))
    return {
        "scores": {name: draw(arrays(np.float64, count, elements=maybe)) for name in names},
        "shares": {name: draw(st.floats(0, 1)) for name in names},
        "k": draw(st.integers(0, 12)),
        "candidates": draw(arrays(np.bool_, count)),
        "vectors": draw(arrays(np.float32, (count, 3), elements=st.floats(-1, 1, width=32))),
        "distance": draw(st.sampled_from([0.0, DISTANCE, 0.5])),
    }


def pick(case: dict[str, Any]) -> Selection:
    case = dict(case)
    return select_balanced(case.pop("scores"), case.pop("shares"), case.pop("k"), **case)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_picks_are_distinct_candidates_that_are_not_alike(case: dict[str, Any]) -> None:
    picks = pick(case).picks
    chosen = [one.index for one in picks]
    assert len(set(chosen)) == len(chosen) <= case["k"]
    assert all(case["candidates"][index] for index in chosen)
    rows = unit(case["vectors"])[chosen]
    gaps = rows @ rows.T
    assert not (np.triu(gaps, 1) >= 1.0 - case["distance"] + 1e-6).any()


@settings(max_examples=150, deadline=None)
@given(cases())
def test_each_pick_is_explained_by_scores_that_apply(case: dict[str, Any]) -> None:
    for one in pick(case).picks:
        assert np.isfinite(case["scores"][one.lead][one.index])
        assert case["shares"][one.lead] > 0
        assert all(0.0 <= rank <= 1.0 for rank in one.ranks.values())
        assert one.values == {name: case["scores"][name][one.index] for name in one.ranks}
        assert explain(one, 10).startswith(one.lead)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_it_stops_short_only_when_nothing_is_left(case: dict[str, Any]) -> None:
    selection = pick(case)
    if len(selection.picks) == case["k"]:
        return
    usable = [name for name, share in case["shares"].items() if share > 0]
    applies = np.any([np.isfinite(case["scores"][name]) for name in usable], axis=0) if usable else np.False_
    chosen = [one.index for one in selection.picks]
    left = case["candidates"] & applies
    left[chosen] = False
    near = near_any(case["vectors"], case["vectors"][chosen], case["distance"] + 1e-6)
    assert not (left & ~near).any()


@settings(max_examples=100, deadline=None)
@given(cases(), st.randoms())
def test_the_order_of_candidates_changes_nothing_but_ties(case: dict[str, Any], random: Any) -> None:
    count = len(case["candidates"])
    spread = {name: np.argsort(np.argsort(np.random.default_rng(i).random(count))) for i, name in enumerate(SHARES)}
    case["scores"] = {name: spread[name].astype(np.float64) for name in case["scores"]}
    case["distance"] = -1.0  # nothing is near: rounding may differ by position
    order = np.array(random.sample(range(count), count), np.int64)
    moved = case | {
        "scores": {name: values[order] for name, values in case["scores"].items()},
        "candidates": case["candidates"][order],
        "vectors": case["vectors"][order],
    }
    leads = [one.lead for one in pick(case).picks]
    assert [one.lead for one in pick(moved).picks] == leads


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_the_reasons_get_their_shares(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = {name: rng.random(200) for name in SHARES}
    case = {"candidates": np.ones(200, np.bool_), "vectors": np.eye(200, dtype=np.float32), "distance": DISTANCE}
    picks = select_balanced(scores, SHARES, k, **case).picks  # type: ignore[arg-type]  # a dict of arguments
    assert len(picks) == k
    for name, share in SHARES.items():
        assert abs(sum(one.lead == name for one in picks) - share * k) <= 1.0


def test_a_score_that_applies_to_nobody_leaves_its_share() -> None:
    scores = {UNCERTAINTY: np.array([0.1, 0.9, 0.5]), DISAGREEMENT: np.full(3, np.nan)}
    picks = select_balanced(
        scores, SHARES, 2, candidates=np.ones(3, np.bool_), vectors=np.eye(3, dtype=np.float32), distance=DISTANCE
    ).picks
    assert [(one.index, one.lead) for one in picks] == [(1, UNCERTAINTY), (2, UNCERTAINTY)]


def test_a_near_duplicate_of_a_pick_is_out() -> None:
    vectors = np.array([[1, 0], [1, 0.01], [0, 1]], np.float32)
    selection = select_balanced(
        {UNCERTAINTY: np.array([0.9, 0.8, 0.1])},
        {UNCERTAINTY: 1.0},
        3,
        candidates=np.ones(3, np.bool_),
        vectors=vectors,
        distance=DISTANCE,
    )
    assert [one.index for one in selection.picks] == [0, 2]
    assert selection.near_duplicates == 1


def test_an_explanation_names_what_else_is_remarkable() -> None:
    scores = {UNCERTAINTY: np.linspace(0, 1, 11), MISTAKENNESS: np.linspace(0, 0.5, 11), DISAGREEMENT: -np.ones(11)}
    one = select_balanced(
        scores,
        {UNCERTAINTY: 1.0, MISTAKENNESS: 0.1, DISAGREEMENT: 0.1},
        1,
        candidates=np.ones(11, np.bool_),
        vectors=np.eye(11, dtype=np.float32),
        distance=DISTANCE,
    ).picks[0]
    assert explain(one, 11) == "uncertainty 1.00, highest of 11 candidates; also mistakenness 0.50"


@given(arrays(np.float64, st.integers(0, 30), elements=maybe), st.data())
def test_ranks_keep_the_order_and_share_ties(values: Any, data: st.DataObject) -> None:
    among = data.draw(arrays(np.bool_, len(values)))
    placed = ranks(values, among)
    chosen = among & np.isfinite(values)
    assert np.array_equal(np.isfinite(placed), chosen)
    if chosen.any():
        assert placed[chosen].mean() == pytest.approx(0.5)
    for i in np.flatnonzero(chosen):
        for j in np.flatnonzero(chosen):
            assert (values[i] < values[j]) == (placed[i] < placed[j])


def test_uncertainty_is_highest_at_a_half() -> None:
    np.testing.assert_allclose(uncertainty(np.array([0.0, 0.25, 0.5, 1.0])), [0.0, 0.5, 1.0, 0.0])
    assert np.isnan(uncertainty(np.array([np.nan])))[0]


def test_disagreement_needs_two_versions() -> None:
    gaps = disagreement([{}, {"a": 0.3}, {"a": 0.3, "b": 0.9, "c": 0.5}])
    assert np.isnan(gaps[:2]).all()
    assert gaps[2] == pytest.approx(0.6)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(0, 20), st.just(3)), elements=st.floats(-1, 1, width=32)))
def test_close_pairs_are_those_that_a_plain_loop_finds(vectors: Any) -> None:
    rows = unit(vectors).astype(np.float64)
    gaps = 1.0 - rows @ rows.T
    sure = {(i, j) for i in range(len(rows)) for j in range(i + 1, len(rows)) if gaps[i, j] < DISTANCE - 1e-5}
    possible = {(i, j) for i in range(len(rows)) for j in range(i + 1, len(rows)) if gaps[i, j] < DISTANCE + 1e-5}
    assert sure <= set(close_pairs(vectors, DISTANCE)) <= possible


def test_groups_join_chains() -> None:
    assert group(6, [(4, 5), (0, 2), (2, 4)]).tolist() == [0, 1, 0, 3, 0, 0]


def test_blocks_join_seamlessly(monkeypatch: pytest.MonkeyPatch) -> None:
    from streetvision.sources import neighbours

    vectors = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    whole = list(close_pairs(vectors, 0.1)), near_any(vectors[:20], vectors[20:], 0.1).tolist()
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    assert (list(close_pairs(vectors, 0.1)), near_any(vectors[:20], vectors[20:], 0.1).tolist()) == whole
    assert len(whole[0]) > 3
