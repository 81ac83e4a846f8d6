"""Which variations to make: of which pictures, of which kinds, how many, with which seeds. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from streetvision.sources.dataset import Example
from streetvision.sources.source import PARENT
from streetvision.synthesis.kinds import Kind

Tried = Collection[tuple[str, str, int]]
"""Digest of the parent, name of the kind, seed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One variation to make."""

    parent: Example
    kind: Kind
    seed: int


def parents_of(examples: Sequence[Example]) -> list[Example]:
    """What variations may be made of: real pictures that are learned from, each once; nothing that judges."""
    chosen = (one for one in examples if one.split == "train" and one.sha256 and PARENT not in one.tags)
    return list({one.sha256: one for one in chosen}.values())


def allowed(real: int, made: int, max_share: float) -> int:
    """How many variations more may be learned from beside so many real pictures."""
    return max(0, int(real * max_share / (1.0 - max_share)) - made)


def plan(parents: Sequence[Example], kinds: Sequence[Kind], count: int, seed: int, tried: Tried) -> list[Wish]:
    """At most `count` variations, the first parents' first, kinds in turn; what was tried before is not tried again.

    Every parent has one variation before any has two, so that many scenes are varied rather than few often.
    """
    seen = set(tried)
    wishes: list[Wish] = []
    for wish in _every(parents, kinds, seed):
        if len(wishes) == count:
            break
        if (wish.parent.sha256, wish.kind.name, wish.seed) not in seen:
            wishes.append(wish)
    return wishes


def _every(parents: Sequence[Example], kinds: Sequence[Kind], seed: int) -> Iterator[Wish]:
    """Each parent with each kind that fits, round by round."""
    fitting = {label: [kind for kind in kinds if kind.fits(label)] for label in (False, True)}
    places = {False: 0, True: 0}
    turns = []
    for parent in parents:
        turns.append(places[parent.label])
        places[parent.label] += 1
    for turn in range(len(kinds)):
        for parent, place in zip(parents, turns, strict=True):
            choice = fitting[parent.label]
            if turn < len(choice):
                kind = choice[(place + turn) % len(choice)]
                yield Wish(parent, kind, seed_of(seed, parent.sha256, kind.name))


def seed_of(seed: int, parent: str, kind: str) -> int:
    """In [0, 2**31): of its own for each variation, the same on every machine."""
    return int(hashlib.sha256(f"{seed}/{parent}/{kind}".encode()).hexdigest()[:8], 16) % 2**31
