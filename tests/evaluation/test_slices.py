from __future__ import annotations

from pathlib import Path

import numpy as np

from streetvision.evaluation.predictions import sample_of
from streetvision.evaluation.slices import FEWEST, MOST_VALUES, slices
from streetvision.sources.dataset import Example


def example(place: int, **tags: str) -> Example:
    return Example(Path(f"{place}.jpg"), place % 2 == 0, f"g{place}", "test", source="one", tags=tags)


def test_a_part_has_the_figures_of_its_pictures() -> None:
    some = [example(place, weather="rain" if place < 10 else "sun") for place in range(30)]
    right = np.array([(1.0 if one.label else -1.0) * (-1.0 if place < 5 else 1.0) for place, one in enumerate(some)])
    rain, sun = slices(some, sample_of(some, right))
    assert (rain.tag, rain.value, rain.count, rain.positives) == ("weather", "rain", 10, 5)
    assert rain.figures["accuracy"].value == 0.5
    assert sun.figures["accuracy"].value == 1.0
    assert rain.figures["accuracy"].low is not None


def test_tags_that_tell_nothing_are_left_out() -> None:
    """One value for all, a value for each picture, parts of a few pictures, and a tag that repeats another."""
    count = 3 * MOST_VALUES
    some = [
        example(p, same="x", own=str(p), rare="a" if p < FEWEST - 1 else "b", city=f"c{p % 2}", town=f"t{p % 2}")
        for p in range(count)
    ]
    found = {(one.tag, one.value) for one in slices(some, sample_of(some, np.ones(count)))}
    assert found == {("rare", "b"), ("city", "c0"), ("city", "c1")}


def test_a_manifests_own_source_is_told_apart() -> None:
    some = [example(place, source="a" if place < 6 else "b") for place in range(12)]
    assert [one.value for one in slices(some, sample_of(some, np.ones(12)))] == ["a", "b"]
