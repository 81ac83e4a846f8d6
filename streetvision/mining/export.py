"""Labels made in the App become the next version of a training set (training_set.py), near duplicates on one side."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from streetvision import __version__
from streetvision.base.state_folder import only_one
from streetvision.errors import OperatorError, reason
from streetvision.mining import brain
from streetvision.mining.candidates import Candidate, gather, near_pairs, same_drive
from streetvision.mining.database import Dataset, FiftyOne
from streetvision.mining.dataset import place_of
from streetvision.mining.inspection import SAME_PICTURE
from streetvision.mining.labels import read_labels
from streetvision.mining.schema import LICENCE, SPLIT, VIDEO, VIDEO_SEGMENT, VIDEO_TIME
from streetvision.mining.splitting import LabelledPicture, Side, Split, split
from streetvision.mining.sync import mark_evicted
from streetvision.mining.table import Table, read_table
from streetvision.mining.training_set import (
    IMAGES,
    Record,
    changed,
    finish,
    fresh_folder,
    latest_version,
    sides_of,
    version_folder,
    write_lists,
)
from streetvision.sources.neighbours import EMBEDDING_DISTANCE

VAL_SHARE = 0.2


class NothingLabelled(OperatorError):
    """There is no label to export yet."""


PicturesDone = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to split, and what counts as the same picture."""

    val_share: float = VAL_SHARE
    distance: float = EMBEDDING_DISTANCE
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written."""

    folder: Path
    version: int
    changed: bool
    """False: the last version holds just this already, and nothing was written."""
    counts: Mapping[str, Mapping[str, int]]
    """Pictures by side and label."""
    left_out: Mapping[str, int]
    """Labelled pictures by why they are not in it."""
    leaks: int
    """Pictures that FiftyOne's compute_leaky_splits finds on both sides."""


def export_labels(
    fo: FiftyOne,
    dataset: Dataset,
    target: Path,
    options: ExportOptions = ExportOptions(),
    *,
    now: float,
    progress: PicturesDone = lambda _, __: None,
) -> ExportReport:
    """Write the next version below `target`, unless nothing changed; raises NothingLabelled, or OperatorError."""
    with only_one(target, "export"):
        partial = fresh_folder(target)
        try:
            return _export(fo, dataset, target, partial=partial, options=options, now=now, progress=progress)
        except OSError as error:
            raise OperatorError(
                f"cannot write the training set to {target} ({reason(error)}): make room or name another place"
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _export(
    fo: FiftyOne,
    dataset: Dataset,
    target: Path,
    *,
    partial: Path,
    options: ExportOptions,
    now: float,
    progress: PicturesDone,
) -> ExportReport:
    mark_evicted(dataset)
    verdicts = read_labels(fo, dataset)
    table = read_table(dataset)
    number, previous = latest_version(target)
    candidates = gather(table, verdicts, _sides(table, previous), partial / IMAGES, progress)
    if not any(candidate.verdict.sources for candidate in candidates):
        raise NothingLabelled(
            "nothing is labelled: tag pictures `roadwork`, `none` or `unsure` in `streetvision mine app` first"
        )
    divided = _divide(table, candidates, options)
    records, left_out = _records(dataset, candidates, divided)
    write_lists(partial, records, left_out)
    leaks = _leaks(dataset, table, candidates, divided, options.distance)
    fresh = previous is None or changed(previous, partial)
    if fresh:
        number += 1
        manifest = _manifest(dataset, records, left_out, options, now=now)
        finish(partial, target, number, manifest | {"leaks": leaks})
    _remember(dataset, table, candidates, divided)
    reasons = dict(Counter(record["reason"] for record in left_out))
    return ExportReport(version_folder(target, number), number, fresh, _counts(records), reasons, leaks)


def _sides(table: Table, previous: Path | None) -> dict[str, Side]:
    """Where earlier exports put pictures, as the dataset and the newest version know: a killed export told one only."""
    known = dict(zip(table.sha256, table.splits, strict=True))
    sides: dict[str, Side] = {digest: side for digest, side in known.items() if side is not None}
    return sides if previous is None else sides | sides_of(previous)


def _counts(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    return {side: dict(Counter(r["label"] for r in records if r["split"] == side)) for side in ("train", "val")}


def _divide(table: Table, candidates: Sequence[Candidate], options: ExportOptions) -> Split:
    """The split of those to learn from; pictures exported earlier take part, whatever became of their labels."""
    taking = [candidate for candidate in candidates if not candidate.problem or candidate.side]
    items = [LabelledPicture(c.sha256, c.verdict.label or "", c.side) for c in taking]
    pairs = chain(near_pairs(table, taking, options.distance, SAME_PICTURE), same_drive(table, taking))
    return split(items, pairs, val_share=options.val_share, seed=options.seed)


def _records(dataset: Dataset, candidates: Sequence[Candidate], divided: Split) -> tuple[list[Record], list[Record]]:
    """Lines of labels.jsonl and of left_out.jsonl, in the order of digests."""
    facts = _provenance(dataset, [candidate.id for candidate in candidates])
    kept: list[Record] = []
    left_out: list[Record] = []
    for candidate in candidates:
        if not candidate.verdict.sources:
            continue
        common = {"sha256": candidate.sha256, "label": candidate.verdict.label, "said_by": candidate.verdict.sources}
        reason = candidate.problem
        if not reason and candidate.sha256 not in divided.sides:
            reason = "resembles pictures on both sides of the split"
        if reason:
            left_out.append({**common, "reason": reason, **facts[candidate.id]})
            continue
        placed = {"split": divided.sides[candidate.sha256], "group": divided.groups[candidate.sha256]}
        kept.append({"image": f"images/{candidate.file}", **common, **placed, **facts[candidate.id]})
    return kept, left_out


def _provenance(dataset: Dataset, ids: Sequence[str]) -> dict[str, Record]:
    """What the log knew about each picture when it was exported; of a frame, where in which video it is."""
    names = ["width", "height", "size_bytes", "probability", "model_version", "asked", "validators", "pick"]
    of_frames = [VIDEO, VIDEO_TIME, VIDEO_SEGMENT, LICENCE]
    columns = dataset.select(list(ids)).values(["id", "first_seen", "last_seen", *names, *of_frames])
    return {
        one: {
            "first_seen": _iso(first),
            "last_seen": _iso(last),
            **dict(zip(names, values, strict=False)),
            **{name: value for name, value in zip(of_frames, values[len(names) :], strict=True) if value is not None},
        }
        for one, first, last, *values in zip(*columns, strict=True)
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.replace(tzinfo=UTC).isoformat()


def _leaks(dataset: Dataset, table: Table, candidates: Sequence[Candidate], divided: Split, distance: float) -> int:
    """A second look at the split by FiftyOne, over the embeddings of the newest version."""
    embedded = table.embedded_by(table.newest_embedding_model())
    vectors = {
        one: vector
        for one, vector, usable in zip(table.ids, table.embeddings, embedded, strict=True)
        if usable and vector is not None
    }
    sides = {
        name: [c.id for c in candidates if not c.problem and divided.sides.get(c.sha256) == name and c.id in vectors]
        for name in ("train", "val")
    }
    return len(brain.leaks(dataset, vectors, sides, distance))


def _manifest(
    dataset: Dataset,
    records: Sequence[Record],
    left_out: Sequence[Record],
    options: ExportOptions,
    *,
    now: float,
) -> Record:
    place = place_of(dataset)
    return {
        "created": datetime.fromtimestamp(now, UTC).isoformat(),
        "streetvision": __version__,
        "dataset": dataset.name,
        "log": place.log,
        "log_read_up_to": {"id": place.last_id, "time": place.last_time},
        "labels": _counts(records),
        "left_out": dict(Counter(record["reason"] for record in left_out)),
        "models": sorted({record["model_version"] for record in records if record["model_version"]}),
        "split": {"val_share": options.val_share, "seed": options.seed, "groups": len({r["group"] for r in records})},
        "near_duplicates": {"embedding_distance": options.distance, "fingerprint_distance": SAME_PICTURE},
    }


def _remember(dataset: Dataset, table: Table, candidates: Sequence[Candidate], divided: Split) -> None:
    """Sides go into the dataset, where `mine hard` sees what was exported."""
    old = dict(zip(table.ids, table.splits, strict=True))
    exported = [c for c in candidates if not c.problem and c.sha256 in divided.sides]
    fresh = {c.id: divided.sides[c.sha256] for c in exported if old[c.id] != divided.sides[c.sha256]}
    if fresh:
        dataset.set_values(SPLIT, fresh, key_field="id", progress=False)
