from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from streetvision.retrain.combining import (
    KNOWN,
    LABELS,
    LIKE_FROZEN,
    LIKE_HELD_OUT,
    NEW,
    Combined,
    Member,
    combine,
    labels_of,
)
from streetvision.sources.dataset import Example
from streetvision.sources.stored import CONTRARY


def bits(number: int) -> int:
    """Far apart for different numbers."""
    return int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:8], "big")


def member(
    number: int,
    split: str = "train",
    *,
    owner: str = "a",
    group: str = "",
    label: bool = True,
    like: int | None = None,
    divides: bool = False,
) -> Member:
    digest = hashlib.sha256(f"bytes {number}".encode()).hexdigest()
    example = Example(Path(f"{owner}/{number}.jpg"), label, group or f"g{number}", split, sha256=digest)
    return Member(example, owner, bits(number if like is None else like), divides)


def splits(found: Combined) -> dict[str, str]:
    return {example.path.name: example.split for example in found.examples}


def test_sets_are_joined_as_they_are_split() -> None:
    found = combine([member(1), member(2, "val"), member(3, "test", owner="b")], [], frozenset())
    assert splits(found) == {"1.jpg": "train", "2.jpg": "val", "3.jpg": "test"}
    assert found.left_out == {}


def test_the_frozen_set_is_never_used_nor_what_resembles_it() -> None:
    mine = [member(1), member(2, like=9), member(3, group="drive", owner="f"), member(4)]
    frozen = [member(1, "test", owner="f"), member(9, "test", owner="f"), member(8, "test", owner="f", group="drive")]
    found = combine(mine, frozen, frozenset())
    assert splits(found) == {"4.jpg": "train"}
    assert found.left_out == {LIKE_FROZEN: 3}


def test_what_resembles_a_held_out_picture_is_not_learned_from() -> None:
    found = combine(
        [member(1), member(2, "test", owner="b", like=1), member(3, group="x"), member(4, "val", group="x")],
        [],
        frozenset(),
    )
    assert splits(found) == {"2.jpg": "test", "4.jpg": "val"}
    assert found.left_out == {LIKE_HELD_OUT: 2}


def test_the_same_bytes_count_once_and_contrary_labels_not_at_all() -> None:
    found = combine(
        [member(1), member(1, "test", owner="b"), member(2), member(2, owner="b", label=False)], [], frozenset()
    )
    assert splits(found) == {"1.jpg": "test"}
    assert found.left_out == {CONTRARY: 1}


def test_where_a_person_spoke_no_oracle_does() -> None:
    person, oracle = member(1, label=False), member(1, owner="b", label=True)
    tagged = replace(oracle, example=replace(oracle.example, tags={"labelled_by": "oracle:one"}))
    found = combine([tagged, person], [], frozenset())
    assert [one.label for one in found.examples] == [False]
    assert found.left_out == {}
    assert [one.label for one in combine([tagged], [], frozenset()).examples] == [True]


def test_groups_of_two_sets_that_share_a_name_are_two() -> None:
    found = combine([member(1, group="g"), member(2, "test", owner="b", group="g")], [], frozenset())
    assert splits(found) == {"1.jpg": "train", "2.jpg": "test"}


def test_a_set_that_only_judges_gives_some_units_to_choose_by() -> None:
    some = [member(n, divides=True, group=f"g{n // 4}") for n in range(800)]
    found = splits(combine(some, [], frozenset(), val_share=0.25))
    assert 0.15 < sum(split == "val" for split in found.values()) / 800 < 0.35
    assert all(len({found[f"{n}.jpg"] for n in range(first, first + 4)}) == 1 for first in range(0, 800, 4))
    assert splits(combine(some[:400], [], frozenset(), val_share=0.25)).items() <= found.items()


def test_new_labels_are_marked_and_a_corrected_one_is_new() -> None:
    before = labels_of([member(1).example, member(2).example])
    found = combine([member(1), member(2, label=False), member(3)], [], before)
    assert {one.path.name: one.tags[LABELS] for one in found.examples} == {"1.jpg": KNOWN, "2.jpg": NEW, "3.jpg": NEW}


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from(("train", "val", "test")), st.integers(0, 6), st.booleans()),
        max_size=30,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_unit_is_ever_on_two_sides(drawn: list[tuple[int, str, int, bool]]) -> None:
    some = [
        member(n, split, group=f"g{g}", owner="ab"[i % 2], divides=i % 3 == 0)
        for i, (n, split, g, _) in enumerate(drawn)
    ]
    frozen = [member(n, "test", owner="f") for n, _, _, is_frozen in drawn[:3] if is_frozen]
    found = combine(some, frozen, frozenset())
    assert not {one.sha256 for one in found.examples} & {one.example.sha256 for one in frozen}
    sides: dict[tuple[str, str], set[str]] = {}
    split_of = {one.sha256: one.split for one in found.examples}
    for one in some:
        if one.example.sha256 in split_of:
            sides.setdefault((one.owner, one.example.group), set()).add(split_of[one.example.sha256])
    assert all(len(found_in) == 1 for found_in in sides.values())
    assert combine(some[::-1], frozen, frozenset()).left_out == found.left_out
