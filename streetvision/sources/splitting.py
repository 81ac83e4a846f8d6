"""Which split a picture goes to: what belongs together stays so, earlier choices stay, classes shared out. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

SPLITS = ("train", "val", "test")
Counts = dict[str, Counter[bool]]


@dataclass(frozen=True, slots=True)
class Shares:
    """Of each class, and the seed of the draw; train takes the rest."""

    val: float = 0.1
    test: float = 0.1
    seed: int = 0

    def wanted(self) -> dict[str, float]:
        """The share of each split that is filled before train."""
        return {"test": self.test, "val": self.val}


@dataclass(frozen=True, slots=True)
class Placed:
    """One picture, and the split that it is in already."""

    sha256: str
    label: bool
    split: str | None = None


Unit = Sequence[Placed]
"""Pictures that must share a split: near duplicates, groups, and chains of both."""


def place(units: Sequence[Unit], shares: Shares) -> dict[str, str | None]:
    """The split of every picture by digest; None for a new one whose unit is in more than one split already.

    Units come in an order drawn from their digests and the seed. One that is in a split stays there, so that figures
    of earlier models stay comparable; a new one goes to a split that it brings no further past its share than that was
    short. A split that nothing fits gets the smallest new unit.
    """
    totals = Counter(item.label for unit in units for item in unit)
    counts: Counts = {name: Counter() for name in SPLITS}
    for item in (item for unit in units for item in unit if item.split):
        counts[item.split or ""][item.label] += 1
    ordered = sorted((sorted(unit, key=_digest) for unit in units), key=lambda unit: _draw(unit, shares.seed))
    fresh: list[tuple[Unit, str]] = []
    for unit in (unit for unit in ordered if not any(item.split for item in unit)):
        split = _choose(unit, counts, totals, shares)
        counts[split].update(item.label for item in unit)
        fresh.append((unit, split))
    chosen = {item.sha256: split for unit, split in _filled(fresh, counts, shares) for item in unit}
    return _kept(units) | chosen


def _kept(units: Sequence[Unit]) -> dict[str, str | None]:
    """Those that have a split, with the new pictures of their units."""
    kept: dict[str, str | None] = {}
    for unit in units:
        splits = {item.split for item in unit if item.split}
        inherited = next(iter(splits)) if len(splits) == 1 else None
        if splits:
            kept |= {item.sha256: item.split or inherited for item in unit}
    return kept


def _choose(unit: Unit, counts: Counts, totals: Counter[bool], shares: Shares) -> str:
    labels = Counter(item.label for item in unit)
    for split, share in shares.wanted().items():
        if all(counts[split][label] + n / 2 <= share * totals[label] for label, n in labels.items()):
            return split
    return "train"


def _filled(fresh: Sequence[tuple[Unit, str]], counts: Counts, shares: Shares) -> list[tuple[Unit, str]]:
    """Give an empty split, val first, the smallest unit of train with most classes, as long as train keeps one."""
    placed = list(fresh)
    for split in ("val", "test"):
        spare = [i for i, (_, where) in enumerate(placed) if where == "train"]
        if sum(counts[split].values()) or not shares.wanted()[split] or len(spare) < 2:
            continue
        least = min(spare, key=lambda i: (-len({item.label for item in placed[i][0]}), len(placed[i][0]), i))
        placed[least] = (placed[least][0], split)
    return placed


def _draw(unit: Unit, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{unit[0].sha256}".encode()).hexdigest()


def _digest(item: Placed) -> str:
    return item.sha256
