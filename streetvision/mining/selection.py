"""Choosing k pictures for several reasons at once, no two of them nearly the same, and saying why for each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from streetvision.mining.scores import Scores, ranks
from streetvision.sources.neighbours import Mask, Vectors, unit

BLEND = 0.5
"""How much a picture's other ranks count beside the rank it is picked for: of two equals, take the one that is
interesting in more ways."""
_HIGH = 0.9
"""Rank from which another score is worth naming in an explanation."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One chosen picture and why."""

    index: int
    """Its position in the scores."""
    lead: str
    """The score it was picked for."""
    ranks: Mapping[str, float]
    """Its place among the candidates by each score that applies, 0 to 1."""
    values: Mapping[str, float]
    """The scores themselves."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The picks in the order of picking, which interleaves the reasons, and how many candidates were too close."""

    picks: tuple[Pick, ...]
    near_duplicates: int


def select_balanced(
    scores: Mapping[str, Scores],
    shares: Mapping[str, float],
    k: int,
    *,
    candidates: Mask,
    vectors: Vectors,
    distance: float,
) -> Selection:
    """Pick up to `k` candidates, each score leading its share of the picks; deterministic, earlier positions win ties.

    Each turn goes to the score furthest behind its share, and takes the candidate that ranks highest by it and, less
    so, by the others. A score leads only within its upper half, as long as any score still can, and only to candidates
    to which it applies. Candidates within `distance` (cosine, of `vectors` [N, D]) of a pick are out. Fewer than `k`
    picks mean that the candidates ran out.
    """
    places = {name: ranks(scores[name], candidates) for name, share in shares.items() if share > 0 and name in scores}
    places = {name: place for name, place in places.items() if np.isfinite(place).any()}
    worth = _worth(places, shares)
    rows, free = unit(vectors), candidates.copy()
    taken = dict.fromkeys(places, 0)
    picks: list[Pick] = []
    dropped = 0
    while len(picks) < k:
        may_lead = _may_lead(places, free)
        if not may_lead:
            break
        lead = _furthest_behind(list(may_lead), taken, shares)
        index = int(np.argmax(np.where(may_lead[lead], worth[lead], -np.inf)))
        taken[lead] += 1
        picks.append(_pick(index, lead, places, scores))
        free[index] = False
        close = free & (rows @ rows[index] >= 1.0 - distance)
        dropped += int(close.sum())
        free &= ~close
    return Selection(tuple(picks), dropped)


def explain(pick: Pick, count: int) -> str:
    """One sentence for the App's sidebar: what it was picked for, and what else is remarkable."""
    lead = pick.ranks[pick.lead]
    place = "highest" if lead == 1.0 else f"above {_percent(lead)}"
    text = f"{pick.lead} {pick.values[pick.lead]:.2f}, {place} of {count:,} candidates"
    others = sorted(((rank, name) for name, rank in pick.ranks.items() if name != pick.lead), reverse=True)
    also = [f"{name} {pick.values[name]:.2f}" for rank, name in others if rank >= _HIGH]
    return f"{text}; also {', '.join(also)}" if also else text


def _worth(places: Mapping[str, Scores], shares: Mapping[str, float]) -> dict[str, Scores]:
    """For each score the rank by it, plus BLEND times the weighted mean rank by all that apply."""
    if not places:
        return {}
    weights = np.array([[shares[name]] for name in places])
    table = np.stack(list(places.values()))
    known = np.isfinite(table)
    mean = np.where(known, table * weights, 0.0).sum(axis=0) / np.maximum((known * weights).sum(axis=0), 1e-12)
    return {name: place + BLEND * mean for name, place in places.items()}


def _may_lead(places: Mapping[str, Scores], free: Mask) -> dict[str, Mask]:
    """For each score the free candidates that it can give as a reason: its upper half, as long as any score has one."""
    for least in (0.5, -1.0):
        found = {name: free & (np.nan_to_num(place, nan=-2.0) > least) for name, place in places.items()}
        found = {name: mask for name, mask in found.items() if mask.any()}
        if found:
            return found
    return {}


def _furthest_behind(names: list[str], taken: Mapping[str, int], shares: Mapping[str, float]) -> str:
    """Who is next when each of `names` is to lead in proportion to its share (the others' are shared out)."""
    total = sum(shares[name] for name in names)
    turns = sum(taken[name] for name in names) + 1
    return max(names, key=lambda name: shares[name] / total * turns - taken[name])


def _pick(index: int, lead: str, places: Mapping[str, Scores], scores: Mapping[str, Scores]) -> Pick:
    applies = [name for name, place in places.items() if np.isfinite(place[index])]
    return Pick(
        index,
        lead,
        {name: float(places[name][index]) for name in applies},
        {name: float(scores[name][index]) for name in applies},
    )


def _percent(rank: float) -> str:
    """Rounded down: only the highest is above all others."""
    return f"{int(rank * 1000) / 10:g} %"
