"""The figures of each part of a dataset apart: by source, by group, by every tag that its pictures carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streetvision.evaluation.figures import Estimate, Sample, estimates
from streetvision.sources.dataset import Example

MOST_VALUES = 12
"""A tag with more values names single pictures rather than parts."""
FEWEST = 5
"""Pictures below which a part tells nothing."""
DRAWS = 400


@dataclass(frozen=True, slots=True)
class Slice:
    """One part: the pictures whose tag has this value."""

    tag: str
    value: str
    count: int
    positives: int
    figures: Mapping[str, Estimate]


def slices(examples: Sequence[Example], sample: Sample, *, seed: int = 0) -> list[Slice]:
    """Every part of a dataset that its tags tell apart, tag by tag; `sample` [N] belongs to `examples` [N]."""
    parts = ((tag, value, sample.part(chosen)) for tag, value, chosen in divisions(examples))
    return [
        Slice(tag, value, len(part), int(part.labels.sum()), estimates(part, draws=DRAWS, seed=seed))
        for tag, value, part in parts
    ]


def divisions(examples: Sequence[Example]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Tag, value and which of the pictures [N] have it, of every part that is large enough to tell something."""
    seen = set[tuple[int, ...]]()
    for tag, values in tags_of(examples).items():
        names, places = np.unique(np.array(values, np.str_), return_inverse=True)
        division = _division(places)
        if 2 <= len(names) <= MOST_VALUES and division not in seen:
            seen.add(division)
            parts = ((str(name), places == place) for place, name in enumerate(names))
            yield from ((tag, name, chosen) for name, chosen in parts if chosen.sum() >= FEWEST)


def _division(places: NDArray[np.int64]) -> tuple[int, ...]:
    """The same for tags that divide the pictures alike, whatever their values are called."""
    first = dict[int, int]()
    return tuple(first.setdefault(place, len(first)) for place in places.tolist())


def tags_of(examples: Sequence[Example]) -> dict[str, list[str]]:
    """The value of each tag for each picture; empty where a picture has none."""
    named = dict.fromkeys(name for example in examples for name in example.tags)
    own = {"source": [one.source for one in examples], "group": [one.group for one in examples]}
    return own | {name: [one.tags.get(name, "") for one in examples] for name in named}
