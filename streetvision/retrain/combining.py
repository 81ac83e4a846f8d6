"""The pictures of all sets as one training set, from which nothing leaks into what judges it. Pure.

Pictures that resemble each other, share their bytes or are of one group form a unit. Where a unit holds a picture of
the frozen set, nothing else of it is used; where its pictures stand in several splits, those of the strictest stay.
Where a person labelled a picture, no oracle's label of it counts.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streetvision.sources.dataset import Example
from streetvision.sources.near_duplicates import near_fingerprints
from streetvision.sources.neighbours import group
from streetvision.sources.source import HUMAN
from streetvision.sources.stored import CONTRARY

VAL_SHARE = 0.1
"""Of the units to learn from in sets that hold nothing out to choose by."""
LIKE_FROZEN = "it resembles a picture of the frozen set"
LIKE_HELD_OUT = "it resembles a picture that is held out"
LABELS, NEW, KNOWN = "labels", "new", "known"
"""The tag that tells labels which no earlier run has seen, and its values."""
STRICTNESS = ("train", "val", "test")

Label = tuple[str, bool]
"""Digest and label: what an earlier run has seen, or not."""


@dataclass(frozen=True, slots=True)
class Member:
    """One picture of one set."""

    example: Example
    owner: str
    """The set's name; groups of different sets are different groups."""
    fingerprint: int
    """64 bits of its pixels, as sources/picture.py makes them."""
    divides: bool = False
    """Whether its set holds out for judging alone, so that some of its train units become val here."""


@dataclass(frozen=True, slots=True)
class Combined:
    """What to learn from, to choose by (val) and to judge on (test)."""

    examples: tuple[Example, ...]
    left_out: Mapping[str, int]
    """Pictures by reason."""


def combine(
    members: Sequence[Member], frozen: Sequence[Member], seen: frozenset[Label], *, val_share: float = VAL_SHARE
) -> Combined:
    """One set in the order of digests; `seen` is what earlier runs were given."""
    every = [*members, *frozen]
    units = group(len(every), _belonging(every))
    left_out = Counter[str]()
    kept: dict[str, Example] = {}
    for unit in _units(units, len(members), every):
        for example in _of_unit(unit, left_out, val_share):
            kept[example.sha256] = _marked(example, seen)
    return Combined(tuple(kept[digest] for digest in sorted(kept)), dict(left_out))


def labels_of(examples: Iterable[Example]) -> frozenset[Label]:
    """What a run sees of these pictures."""
    return frozenset((example.sha256, example.label) for example in examples)


@dataclass(frozen=True, slots=True)
class _Unit:
    members: Sequence[Member]
    frozen: bool


def _units(units: np.ndarray[tuple[int], np.dtype[np.int64]], count: int, every: Sequence[Member]) -> Iterator[_Unit]:
    """Those with a member that may be learned from; the first `count` of all may."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, unit in enumerate(units):
        places[int(unit)].append(place)
    for some in places.values():
        own = [every[place] for place in some if place < count]
        if own:
            yield _Unit(own, frozen=any(place >= count for place in some))


def _belonging(every: Sequence[Member]) -> Iterator[tuple[int, int]]:
    """Pairs that belong together."""
    yield from near_fingerprints(np.array([one.fingerprint for one in every], np.uint64))
    first: dict[tuple[str, str], int] = {}
    for place, one in enumerate(every):
        for key in (("bytes", one.example.sha256), (one.owner, one.example.group)):
            if first.setdefault(key, place) != place:
                yield first[key], place


def _of_unit(unit: _Unit, left_out: Counter[str], val_share: float) -> Iterator[Example]:
    if unit.frozen:
        left_out[LIKE_FROZEN] += len({one.example.sha256 for one in unit.members})
        return
    strictest = max((one.example.split for one in unit.members), key=STRICTNESS.index)
    for every in _by_bytes(unit.members):
        same = [one for one in every if one.example.tags.get("labelled_by", HUMAN) == HUMAN] or every
        if len({one.example.label for one in same}) > 1:
            left_out[CONTRARY] += 1
        elif all(one.example.split != strictest for one in same):
            left_out[LIKE_HELD_OUT] += 1
        else:
            yield replace(same[0].example, split=_split(unit, strictest, val_share))


def _by_bytes(members: Sequence[Member]) -> Iterable[list[Member]]:
    found: dict[str, list[Member]] = defaultdict(list)
    for one in members:
        found[one.example.sha256].append(one)
    return found.values()


def _split(unit: _Unit, strictest: str, val_share: float) -> str:
    """Drawn from the unit's first digest, so that it stays while the unit does."""
    if strictest != "train" or not all(one.divides for one in unit.members):
        return strictest
    digest = hashlib.sha256(min(one.example.sha256 for one in unit.members).encode()).digest()
    return "val" if int.from_bytes(digest[:8], "big") < val_share * 2**64 else "train"


def _marked(example: Example, seen: frozenset[Label]) -> Example:
    known = (example.sha256, example.label) in seen
    return replace(example, tags={**example.tags, LABELS: KNOWN if known else NEW})
