"""Near fingerprints are found exactly, whatever tile they fall into."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streetvision.sources import near_duplicates
from streetvision.sources.near_duplicates import near_fingerprints
from streetvision.sources.neighbours import group


def linked(values: list[int], distance: int) -> list[int]:
    """The groups by comparing each with each."""
    near = [(i, j) for i, a in enumerate(values) for j, b in enumerate(values[:i]) if (a ^ b).bit_count() <= distance]
    return [int(one) for one in group(len(values), near)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 255), max_size=40), st.integers(0, 2))
def test_the_links_join_just_what_each_with_each_joins(values: list[int], distance: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_ROWS", 3)
        patch.setattr(near_duplicates, "_COLUMNS", 7)
        pairs = list(near_fingerprints(np.array(values, np.uint64), distance))
    assert [int(one) for one in group(len(values), pairs)] == linked(values, distance)


def test_many_equal_ones_make_few_pairs() -> None:
    assert len(list(near_fingerprints(np.zeros(1000, np.uint64)))) == 999
