"""The pictures that are worth a person's time: scored, cleaned of repeats and leaks, balanced, explained, kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from streetvision.labelling.oracle import LabelOracle, LabelQuestion, NoOracle
from streetvision.mining import brain
from streetvision.mining.database import Dataset, FiftyOne
from streetvision.mining.dataset import save_view
from streetvision.mining.labels import ResolvedLabel, read_labels
from streetvision.mining.pictures import PictureFolder
from streetvision.mining.schema import HARD_VIEW, OPINION, PICK, RANK
from streetvision.mining.scores import (
    DISAGREEMENT,
    HARDNESS,
    MISTAKENNESS,
    REPRESENTATIVENESS,
    SHARES,
    UNCERTAINTY,
    UNIQUENESS,
    Scores,
    disagreement,
    uncertainty,
)
from streetvision.mining.selection import Pick, explain, select_balanced
from streetvision.mining.sync import mark_evicted
from streetvision.mining.table import Table, read_table
from streetvision.sources.neighbours import EMBEDDING_DISTANCE, Mask, Vectors, near_any

SUSPICIOUS = 0.9
"""Mistakenness from which a label is worth a second look: the model contradicts it with a confidence of 0.98."""
POOL = 10_000

StepName = Callable[[str], None]
"""Hears what is being worked on."""


@dataclass(frozen=True, slots=True)
class HardOptions:
    """What to look for."""

    k: int = 100
    view: str = HARD_VIEW
    distance: float = EMBEDDING_DISTANCE
    pool: int = POOL
    """At most so many pictures are considered, the newest: the nearest neighbours of all take time and memory that
    grow with the square."""
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))


@dataclass(frozen=True, slots=True)
class Found:
    """One pick, for people and programs."""

    id: str
    sha256: str
    path: str
    probability: float
    lead: str
    why: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class HardReport:
    """What was picked and what was left out."""

    picks: tuple[Found, ...]
    considered: int
    """Candidates that were ranked."""
    left_out: Mapping[str, int]
    """Pictures that were no candidates or were dropped, by reason."""
    split_leaks: int
    """Exported pictures for validation that lie within the distance of one for training."""
    view: str
    model: str | None
    """The version whose embeddings were compared."""


def mine_hard(
    fo: FiftyOne,
    dataset: Dataset,
    pictures: PictureFolder,
    options: HardOptions,
    *,
    oracle: LabelOracle | None = None,
    judged: Mapping[str, float] = MappingProxyType({}),
    step: StepName = lambda _: None,
) -> HardReport:
    """Pick `options.k` pictures, keep their files from eviction, and save them as a view in the order of picking.

    `oracle` is asked about the picks. `judged` is P(roadwork) by digest as an oracle gave it before: it counts as one
    more answer where answers disagree.
    """
    step("reading the dataset")
    mark_evicted(dataset)
    verdicts = read_labels(fo, dataset)
    table = read_table(dataset)
    pool = _Pool(table, verdicts, options)
    scores = _scores(dataset, pool, judged, step)
    step("dropping near duplicates and leaks")
    split_leaks = _drop_repeats(dataset, pool, options.distance)
    step("choosing")
    selection = select_balanced(
        pool.reserve(scores),
        options.shares,
        options.k,
        candidates=pool.candidates,
        vectors=pool.dense,
        distance=options.distance,
    )
    pool.left_out["near duplicate"] += selection.near_duplicates
    considered = int(pool.candidates.sum())
    found = _keep(table, selection.picks, pictures, considered)
    step("saving the view")
    _save(dataset, found, options.view)
    step("asking the oracle")
    _ask(fo, dataset, found, oracle or NoOracle())
    left_out = {reason: count for reason, count in sorted(pool.left_out.items()) if count}
    return HardReport(tuple(found), considered, left_out, split_leaks, options.view, pool.model)


class _Pool:
    """Which pictures take part, and in which role."""

    def __init__(self, table: Table, verdicts: Mapping[str, ResolvedLabel], options: HardOptions) -> None:
        self.table = table
        self.model = table.newest_embedding_model()
        self.left_out: Counter[str] = Counter()
        embedded = table.embedded_by(self.model)
        answered = np.isfinite(table.probabilities)
        said = [verdicts[one] for one in table.ids]
        self.labelled = np.array([bool(verdict.sources) for verdict in said], np.bool_)
        self.decided = np.array([verdict.decided for verdict in said], np.bool_)
        self.exported = np.array([split is not None for split in table.splits], np.bool_)
        usable = self._narrow(table.stored, "image evicted")
        usable = self._narrow(usable & answered, "not answered", usable)
        usable = self._narrow(usable & embedded, "embedded by another model version", usable)
        usable = self._newest(usable, options.pool)
        self.usable = usable
        """Scored by the Brain: everything that can be compared, labelled or not."""
        self.vectors = _by_id(table, embedded)
        self.dense = _dense(table, embedded)
        self.candidates = usable.copy()

    def _narrow(self, kept: Mask, reason: str, before: Mask | None = None) -> Mask:
        self.left_out[reason] += int((~kept if before is None else before & ~kept).sum())
        return kept

    def _newest(self, usable: Mask, limit: int) -> Mask:
        order = sorted(np.flatnonzero(usable), key=lambda i: -self.table.seen[i])
        kept = np.zeros(len(usable), np.bool_)
        kept[order[:limit]] = True
        return self._narrow(kept, "older than the pool", usable)

    def ids(self, mask: Mask) -> list[str]:
        """Sample ids of those chosen."""
        return [one for one, chosen in zip(self.table.ids, mask, strict=True) if chosen]

    def near(self, references: Mask, distance: float) -> Mask:
        """[N]: which pictures lie within `distance` of one of those."""
        return near_any(self.dense, self.dense[references], distance)

    def drop(self, mask: Mask, reason: str) -> None:
        """Take candidates out."""
        self.left_out[reason] += int((self.candidates & mask).sum())
        self.candidates &= ~mask

    def reserve(self, scores: Mapping[str, Scores]) -> dict[str, Scores]:
        """Scores with roles: labelled pictures can only be picked because their label looks mistaken.

        Also takes out the candidates whose label looks right, and whose label nobody could decide on.
        """
        doubt = np.where(self.labelled, np.nan_to_num(scores[MISTAKENNESS], nan=0.0), 0.0)
        self.drop(self.labelled & (doubt <= SUSPICIOUS), "labelled already")
        return {
            name: np.where(self.labelled if name == MISTAKENNESS else ~self.labelled, values, np.nan)
            for name, values in scores.items()
        }


def _scores(dataset: Dataset, pool: _Pool, judged: Mapping[str, float], step: StepName) -> dict[str, Scores]:
    """All scores [N], NaN where one does not apply."""
    table = pool.table
    dataset.clear_sample_fields(list(SHARES))
    view = dataset.select(pool.ids(pool.usable))
    found: dict[str, dict[str, float]] = {}
    if view.count():
        step("scoring hardness")
        found[HARDNESS] = brain.hardness(view)
        step("scoring uniqueness")
        found[UNIQUENESS] = brain.uniqueness(view, pool.vectors)
        step("scoring representativeness")
        found[REPRESENTATIVENESS] = brain.representativeness(view, pool.vectors)
        step("scoring labels")
        found[MISTAKENNESS] = brain.mistakenness(dataset.select(pool.ids(pool.usable & pool.decided)))
    scores = {
        name: np.array([found.get(name, {}).get(one, np.nan) for one in table.ids], np.float64)
        for name in (HARDNESS, UNIQUENESS, REPRESENTATIVENESS, MISTAKENNESS)
    }
    own = {UNCERTAINTY: uncertainty(table.probabilities), DISAGREEMENT: disagreement(_answers(table, judged))}
    for name, values in own.items():
        kept = {one: float(value) for one, value in zip(table.ids, values, strict=True) if np.isfinite(value)}
        dataset.set_values(name, kept, key_field="id", progress=False)
    scores |= own
    return {name: values.round(6) for name, values in scores.items()}


def _answers(table: Table, judged: Mapping[str, float]) -> list[Mapping[str, float]]:
    """Of model versions, and of an oracle where it spoke."""
    return [
        {**given, OPINION: judged[sha256]} if sha256 in judged else given
        for given, sha256 in zip(table.answers, table.sha256, strict=True)
    ]


def _drop_repeats(dataset: Dataset, pool: _Pool, distance: float) -> int:
    """Take near duplicates and leaks out; returns how many exported ones leak from val to train."""
    table = pool.table
    comparable = table.embedded_by(pool.model)
    exported = pool.exported & comparable
    fresh = pool.candidates & ~pool.labelled & ~exported
    sides = {
        name: [one for one, s in zip(table.ids, table.splits, strict=True) if s == name] for name in ("train", "val")
    }
    sides = {name: [one for one in ids if one in pool.vectors] for name, ids in sides.items()}
    splits = sides | {"fresh": pool.ids(fresh)}
    leaking = brain.leaks(dataset, pool.vectors, splits, distance)
    named = np.array([one in leaking for one in table.ids], np.bool_)
    pool.drop(fresh & (named | pool.near(exported, distance)), "near an exported picture (leak)")
    pool.drop(fresh & pool.near(pool.decided & comparable, distance), "near a labelled picture")
    repeats = brain.near_duplicates(dataset.select(pool.ids(fresh & pool.candidates)), pool.vectors, distance)
    pool.drop(np.array([one in repeats for one in table.ids], np.bool_), "near duplicate")
    train, val = (np.array([split == name for split in table.splits], np.bool_) & comparable for name in sides)
    return int(near_any(pool.dense[val], pool.dense[train], distance).sum())


def _by_id(table: Table, embedded: Mask) -> dict[str, Vectors]:
    return {
        one: vector
        for one, vector, chosen in zip(table.ids, table.embeddings, embedded, strict=True)
        if chosen and vector is not None
    }


def _dense(table: Table, embedded: Mask) -> Vectors:
    """[N, D]: vectors of this version, zeros (near nothing) for the others."""
    known = table.vectors(embedded)
    rows = np.zeros((len(table), known.shape[1]), np.float32)
    rows[embedded] = known
    return rows


def _keep(table: Table, picks: Sequence[Pick], pictures: PictureFolder, considered: int) -> list[Found]:
    """Pin the files; a picture evicted meanwhile drops out."""
    return [
        Found(
            id=table.ids[pick.index],
            sha256=table.sha256[pick.index],
            path=str(table.paths[pick.index]),
            probability=float(table.probabilities[pick.index]),
            lead=pick.lead,
            why=explain(pick, considered),
            values={name: round(value, 4) for name, value in pick.values.items()},
        )
        for pick in picks
        if pictures.pin(table.paths[pick.index])
    ]


def _save(dataset: Dataset, found: Sequence[Found], name: str) -> None:
    """Only the current picks carry a reason; the view shows them in the order of picking."""
    dataset.clear_sample_fields([PICK, RANK, OPINION])
    dataset.set_values(PICK, {one.id: one.why for one in found}, key_field="id", progress=False)
    dataset.set_values(RANK, {one.id: rank for rank, one in enumerate(found)}, key_field="id", progress=False)
    view = dataset.exists(RANK).sort_by(RANK)
    save_view(dataset, name, view, "Picked by `streetvision mine hard`; the field `pick` says why")


def _ask(fo: FiftyOne, dataset: Dataset, found: Sequence[Found], oracle: LabelOracle) -> None:
    """Keep the oracle's opinions beside the picks."""
    opinions = oracle.judge([LabelQuestion(one.sha256, Path(one.path), one.probability) for one in found])
    kept = {
        one.id: fo.Classification(
            label=opinion.label, confidence=opinion.confidence, remark=opinion.remark, oracle=oracle.name
        )
        for one, opinion in zip(found, opinions, strict=True)
        if opinion is not None
    }
    if kept:
        dataset.set_values(OPINION, kept, key_field="id", progress=False)
