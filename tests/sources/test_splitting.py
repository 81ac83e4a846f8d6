"""Splits: units whole, earlier ones kept, classes shared out, the same from the same seed."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from streetvision.sources.splitting import SPLITS, Placed, Shares, place


def units(sizes: list[tuple[int, int]]) -> list[list[Placed]]:
    """Units of so many pictures with and without roadwork."""
    return [
        [Placed(f"{i:04d}{n:04d}", n < roadwork) for n in range(roadwork + none)]
        for i, (roadwork, none) in enumerate(sizes)
    ]


SIZES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(any), min_size=1, max_size=30)


@settings(deadline=None, max_examples=60)
@given(SIZES, SIZES, st.integers(0, 3))
def test_units_stay_whole_and_splits_stay_when_more_is_added(
    old: list[tuple[int, int]], new: list[tuple[int, int]], seed: int
) -> None:
    shares = Shares(seed=seed)
    first = place(units(old), shares)
    kept = [[Placed(one.sha256, one.label, first.get(one.sha256)) for one in unit] for unit in units([*old, *new])]
    second = place(kept, shares)
    assert first.items() <= second.items()
    assert all(len({second[one.sha256] for one in unit}) == 1 for unit in kept)
    assert set(second.values()) <= set(SPLITS)


def test_each_class_is_shared_out_as_asked() -> None:
    found = place(units([(1, 0)] * 100 + [(0, 1)] * 400), Shares(val=0.2, test=0.1))
    labels = {one.sha256: one.label for unit in units([(1, 0)] * 100 + [(0, 1)] * 400) for one in unit}
    counts = Counter((split, labels[sha256]) for sha256, split in found.items())
    assert counts == {
        ("train", True): 70,
        ("val", True): 20,
        ("test", True): 10,
        ("train", False): 280,
        ("val", False): 80,
        ("test", False): 40,
    }


def test_few_large_groups_still_leave_one_to_validate_on() -> None:
    found = place(units([(20, 20)] * 3), Shares())
    assert Counter(found.values()) == {"train": 40, "val": 40, "test": 40}
    assert set(place(units([(20, 20)]), Shares()).values()) == {"train"}


def test_another_seed_draws_another_split() -> None:
    some = units([(1, 0)] * 60)
    assert place(some, Shares(seed=1)) == place(some[::-1], Shares(seed=1)) != place(some, Shares(seed=2))


def test_a_new_picture_that_links_two_splits_is_left_out() -> None:
    unit = [Placed("a", True, "train"), Placed("b", True, "val"), Placed("c", True)]
    assert place([unit], Shares()) == {"a": "train", "b": "val", "c": None}
