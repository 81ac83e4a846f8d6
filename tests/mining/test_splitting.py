"""Splits: near duplicates together, earlier sides kept, classes shared out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.mining.splitting import LabelledPicture, Side, Split, split

SIDES: st.SearchStrategy[Side | None] = st.sampled_from((None, None, "train", "val"))


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    digests = draw(st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), unique=True, max_size=30))
    items = [LabelledPicture(digest, draw(st.sampled_from(["roadwork", "none"])), draw(SIDES)) for digest in digests]
    position = st.integers(0, max(len(items) - 1, 0))
    pairs = draw(st.lists(st.tuples(position, position), max_size=20)) if items else []
    return {"items": items, "pairs": pairs, "val_share": draw(st.floats(0, 0.9)), "seed": draw(st.integers(0, 9))}


def divide(case: dict[str, Any], items: list[LabelledPicture] | None = None) -> Split:
    chosen = case["items"] if items is None else items
    return split(chosen, case["pairs"], val_share=case["val_share"], seed=case["seed"])


@given(cases())
def test_fresh_near_duplicates_are_on_one_side_or_left_out(case: dict[str, Any]) -> None:
    result = divide(case)
    for i, j in case["pairs"]:
        one, other = case["items"][i], case["items"][j]
        assert result.groups[one.sha256] == result.groups[other.sha256]
        both = result.sides.get(one.sha256), result.sides.get(other.sha256)
        if None not in both and not (one.side and other.side):
            assert both[0] == both[1]


@given(cases())
def test_earlier_sides_are_kept(case: dict[str, Any]) -> None:
    sides = divide(case).sides
    assert all(sides[item.sha256] == item.side for item in case["items"] if item.side)


@given(cases())
def test_only_what_resembles_both_sides_is_left_out(case: dict[str, Any]) -> None:
    result = divide(case)
    known: dict[str, set[str]] = {}
    for item in case["items"]:
        if item.side:
            known.setdefault(result.groups[item.sha256], set()).add(item.side)
    for item in case["items"]:
        torn = len(known.get(result.groups[item.sha256], set())) == 2 and not item.side
        assert (item.sha256 not in result.sides) == torn


@given(cases(), st.randoms())
def test_the_order_of_items_changes_nothing(case: dict[str, Any], random: Any) -> None:
    order = random.sample(range(len(case["items"])), len(case["items"]))
    where = {old: new for new, old in enumerate(order)}
    moved = case | {
        "items": [case["items"][i] for i in order],
        "pairs": [(where[i], where[j]) for i, j in case["pairs"]],
    }
    assert divide(moved) == divide(case)


@given(cases())
def test_a_second_split_of_the_same_moves_nothing(case: dict[str, Any]) -> None:
    first = divide(case)
    again = [LabelledPicture(item.sha256, item.label, first.sides.get(item.sha256)) for item in case["items"]]
    assert divide(case, again) == first


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.5])
def test_each_class_gets_its_share(share: float) -> None:
    items = [LabelledPicture(f"{i:04x}", "roadwork" if i % 4 == 0 else "none") for i in range(200)]
    sides = split(items, [(i, i + 1) for i in range(0, 100, 2)], val_share=share).sides
    val = Counter(item.label for item in items if sides[item.sha256] == "val")
    assert abs(val["none"] - share * 150) <= 2
    assert abs(val["roadwork"] - share * 50) <= 2


def test_new_pictures_do_not_move_old_ones() -> None:
    old = [LabelledPicture(f"{i:04x}", "none") for i in range(0, 100, 2)]
    first = split(old, [], val_share=0.2).sides
    grown = [LabelledPicture(one.sha256, one.label, first[one.sha256]) for one in old]
    grown += [LabelledPicture(f"{i:04x}", "none") for i in range(1, 100, 2)]
    sides = split(grown, [], val_share=0.2).sides
    assert all(sides[digest] == side for digest, side in first.items())
    assert Counter(sides.values()) == {"train": 80, "val": 20}
