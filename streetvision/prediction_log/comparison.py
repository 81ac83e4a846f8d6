"""Old answers against new ones: was the log reproduced, and what would another model have changed? Pure arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from streetvision.engine.types import EMBEDDED, ServedBy

DECISION = 0.5
"""Above it the validators read roadwork."""

TOLERANCE = {"cpu": 1e-5, "cuda": 2e-2}
"""By device: probabilities this close count as the same, whatever the batches.

Shared batches moved the bundled model by 7e-8 in float32 on a CPU and compilation by 1e-7; bfloat16, in which a GPU
computes, moved it by 9e-3 in all.
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """One logged request and what the replay answered."""

    id: int
    time: float
    validator: str
    uid: int | None
    sha256: str
    old_model: str
    """Empty when the request was not answered."""
    old_views: int
    old: float | None
    """Logged P(roadwork)."""
    new_model: str
    new_views: int
    new: float
    old_router: str | None = None
    """Why the second member of a router answered then, or why not: a RouterOutcome; None without a router."""
    new_router: str | None = None
    old_members: tuple[float, ...] = ()
    """P(roadwork) by those members of an ensemble that answered, of the first two."""
    new_members: tuple[float, ...] = ()
    old_served_by: str | None = None
    """Who computed the logged answer: `embedded` or a backend; None where the log does not say."""

    @property
    def shift(self) -> float | None:
        """New less old probability."""
        return None if self.old is None else self.new - self.old

    @property
    def same_model(self) -> bool:
        """Whether the logged answer came from the same version with the same views."""
        return (self.old_model, self.old_views) == (self.new_model, self.new_views)


@dataclass(slots=True)
class Tally:
    """What could not be replayed, counted while the replay goes on."""

    missing: Counter[str] = field(default_factory=Counter)
    """Rows without their image, by why: evicted, dropped, gone, unreadable, damaged; none: none ever arrived."""
    failed: Counter[str] = field(default_factory=Counter)
    """Images that the engine refused, by its reason."""


@dataclass(slots=True)
class Replayed:
    """What a replay came to, growing while it goes on."""

    model: str
    device: str
    answers: list[Answered] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    served_by: tuple[ServedBy, ...] = ()
    """What computed the new answers: of an ensemble, for each member."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """How well the same version gave the same probabilities again."""

    rows: int
    exact: int
    """Equal to the last bit."""
    beyond: int
    """Further away than the tolerance; a backend's answers, computed on another chip, than that of a GPU."""
    largest: float
    tolerance: float

    @property
    def good(self) -> bool:
        """Whether every answer came out the same, within the tolerance."""
        return self.beyond == 0


@dataclass(frozen=True, slots=True)
class Change:
    """What a model changed in the answers of an older one."""

    old_model: str
    new_model: str
    rows: int
    none_none: int
    none_roadwork: int
    roadwork_none: int
    roadwork_roadwork: int
    """Decisions, old then new."""
    mean_shift: float
    mean_distance: float
    """Mean of |new - old|."""
    p95_distance: float
    moved: int
    """Answers further apart than the tolerance."""
    movers: tuple[Answered, ...]
    """Those of them that moved most, the furthest first."""

    @property
    def flips(self) -> int:
        """Decisions that changed."""
        return self.none_roadwork + self.roadwork_none

    @property
    def agreement(self) -> float:
        """Share of equal decisions."""
        return 1 - self.flips / self.rows


@dataclass(frozen=True, slots=True)
class Routing:
    """Rows of one router by why its second member answered or not, then and now: both are a RouterOutcome."""

    then: str
    now: str
    rows: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A whole replay, judged."""

    reproduction: Reproduction | None
    """None when no row was answered by this very model."""
    changes: tuple[Change, ...]
    """One for each other model in the log, by its version."""
    unanswered: int
    """Rows that had no answer to compare with."""
    routing: tuple[Routing, ...] = ()
    """Of rows that the same version answered, where it has a router."""


def compare(answers: Sequence[Answered], *, tolerance: float, movers: int = 10) -> Comparison:
    """Judge a replay; `tolerance` is the largest difference of probabilities that still counts as the same."""
    compared = [answer for answer in answers if answer.old is not None]
    same = [answer for answer in compared if answer.same_model]
    others = [answer for answer in compared if not answer.same_model]
    models = sorted({answer.old_model for answer in others})
    return Comparison(
        reproduction=_reproduction(same, tolerance) if same else None,
        changes=tuple(_change([a for a in others if a.old_model == model], tolerance, movers) for model in models),
        unanswered=len(answers) - len(compared),
        routing=_routing(compared),
    )


def comparison_fields(comparison: Comparison) -> dict[str, Any]:
    """The judgement as JSON values; movers by their rows' ids."""
    same = comparison.reproduction
    return {
        "reproduction": None
        if same is None
        else {
            "rows": same.rows,
            "exact": same.exact,
            "beyond_tolerance": same.beyond,
            "largest_difference": same.largest,
            "tolerance": same.tolerance,
            "reproduced": same.good,
        },
        "changes": [_change_fields(change) for change in comparison.changes],
        "routing": [asdict(one) for one in comparison.routing],
        "unanswered": comparison.unanswered,
    }


def _change_fields(change: Change) -> dict[str, Any]:
    return {
        "old_model": change.old_model,
        "new_model": change.new_model,
        "rows": change.rows,
        "agreement": change.agreement,
        "flips": change.flips,
        "confusion": {
            "none": {"none": change.none_none, "roadwork": change.none_roadwork},
            "roadwork": {"none": change.roadwork_none, "roadwork": change.roadwork_roadwork},
        },
        "mean_shift": change.mean_shift,
        "mean_distance": change.mean_distance,
        "p95_distance": change.p95_distance,
        "moved": change.moved,
        "movers": [answer.id for answer in change.movers],
    }


def _routing(answers: Sequence[Answered]) -> tuple[Routing, ...]:
    counts = Counter(
        (one.old_router, one.new_router)
        for one in answers
        if one.old_router and one.new_router and one.old_model == one.new_model
    )
    return tuple(Routing(then, now, rows) for (then, now), rows in counts.most_common() if then and now)


def _reproduction(answers: Sequence[Answered], tolerance: float) -> Reproduction:
    distances = _distances(answers)
    here = np.array([answer.old_served_by in (None, EMBEDDED) for answer in answers])
    limits = np.where(here, tolerance, max(tolerance, TOLERANCE["cuda"]))
    return Reproduction(
        rows=len(answers),
        exact=int((distances == 0).sum()),
        beyond=int((distances > limits).sum()),
        largest=float(distances.max()),
        tolerance=tolerance,
    )


def _change(answers: Sequence[Answered], tolerance: float, movers: int) -> Change:
    distances = _distances(answers)
    decisions = Counter((_decision(answer.old or 0.0), _decision(answer.new)) for answer in answers)
    moved = int((distances > tolerance).sum())
    furthest = np.argsort(-distances, kind="stable")[: min(moved, movers)]
    return Change(
        old_model=answers[0].old_model,
        new_model=answers[0].new_model,
        rows=len(answers),
        none_none=decisions[False, False],
        none_roadwork=decisions[False, True],
        roadwork_none=decisions[True, False],
        roadwork_roadwork=decisions[True, True],
        mean_shift=float(np.mean(_shifts(answers))),
        mean_distance=float(distances.mean()),
        p95_distance=float(np.percentile(distances, 95)),
        moved=moved,
        movers=tuple(answers[place] for place in furthest),
    )


def _decision(probability: float) -> bool:
    return probability > DECISION


def _shifts(answers: Iterable[Answered]) -> list[float]:
    return [answer.shift for answer in answers if answer.shift is not None]


def _distances(answers: Iterable[Answered]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.abs(np.array(_shifts(answers), dtype=np.float64))
