"""Which side a labelled picture goes to: near duplicates together, earlier choices kept, classes shared out. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streetvision.sources.neighbours import group

Side = Literal["train", "val"]


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A labelled picture."""

    sha256: str
    label: str
    side: Side | None = None
    """Where an earlier export put it: it stays there, so that figures of earlier models stay comparable."""


@dataclass(frozen=True, slots=True)
class Split:
    """Sides and groups by digest. A picture without a side is left out: it resembles pictures on both."""

    sides: Mapping[str, Side]
    groups: Mapping[str, str]
    """The smallest digest of each one's group of near duplicates."""


def split(
    items: Sequence[LabelledPicture], pairs: Iterable[tuple[int, int]], *, val_share: float, seed: int = 0
) -> Split:
    """Divide `items`, of which `pairs` (of positions) are near duplicates; about `val_share` of each class to val.

    Groups come in an order drawn from their digests and the seed, so that new pictures hardly move others, and a group
    goes to val while its commonest label is short there. Where pictures that were apart turn out to be linked by new
    ones, the old ones stay and the new ones are left out.
    """
    ordered = sorted(range(len(items)), key=lambda i: items[i].sha256)
    place = {position: rank for rank, position in enumerate(ordered)}
    roots = group(len(items), ((place[i], place[j]) for i, j in pairs))
    members: dict[int, list[LabelledPicture]] = {}
    for rank, position in enumerate(ordered):
        members.setdefault(int(roots[rank]), []).append(items[position])
    groups = {item.sha256: some[0].sha256 for some in members.values() for item in some}
    return Split(_sides(list(members.values()), val_share, seed), groups)


def _sides(groups: Sequence[Sequence[LabelledPicture]], val_share: float, seed: int) -> dict[str, Side]:
    totals = Counter(item.label for some in groups for item in some)
    val: Counter[str] = Counter(item.label for some in groups for item in some if item.side == "val")
    sides: dict[str, Side] = {item.sha256: item.side for some in groups for item in some if item.side}
    for some in sorted(groups, key=lambda some: _draw(some[0].sha256, seed)):
        known = {item.side for item in some if item.side}
        if len(known) > 1:
            continue
        side = next(iter(known), None) or _side(some, val, totals, val_share)
        fresh = [item for item in some if item.side is None]
        sides |= {item.sha256: side for item in fresh}
        val.update(item.label for item in fresh if side == "val")
    return sides


def _side(some: Sequence[LabelledPicture], val: Counter[str], totals: Counter[str], share: float) -> Side:
    """Val while the group brings it no further past its share than it was short."""
    labels = Counter(item.label for item in some)
    common = min(labels, key=lambda label: (-labels[label], label))
    wanted = share * totals[common]
    return "val" if val[common] + labels[common] / 2 < wanted + 1e-9 and wanted > 0 else "train"


def _draw(sha256: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{sha256}".encode()).hexdigest()
