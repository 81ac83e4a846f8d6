"""The log's way into the dataset: one sample per image, in batches, each batch saved before its place is remembered.

Killed at any moment, the next sync reads the last batch again and finds it done: a sample knows which requests it
stands for, and facts about it are computed from rows, never added up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from streetvision.mining.database import Dataset, FiftyOne, FiftyOneLabel, Sample
from streetvision.mining.dataset import Place, place_of, remember
from streetvision.mining.merging import Answers, merge
from streetvision.mining.pictures import PictureFolder
from streetvision.mining.schema import (
    EMBEDDING,
    EMBEDDING_MODEL,
    FIRST,
    PREDICTION,
    PREDICTIONS,
    ROUTER,
    SECOND,
    classification,
)
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogRow

BATCH = 1000
_EPOCH = 10**12
"""Row ids of a log that was started anew are told apart by this much."""

RowsDone = Callable[[int], None]
"""Hears how many more rows are done."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one sync did."""

    rows: int = 0
    """Rows read."""
    added: int = 0
    """Images new to the dataset."""
    updated: int = 0
    """Images known before, asked about again."""
    without_image: int = 0
    """Rows whose image was never kept or is evicted, and is not in the dataset."""
    evicted: int = 0
    """Images of the dataset found gone by this sync."""
    started_anew: bool = False
    """The log was another one than last time, in the same place."""
    last_id: int = 0
    samples: int = 0
    """Images in the dataset now."""


def sync(
    fo: FiftyOne,
    dataset: Dataset,
    reader: LogReader,
    pictures: PictureFolder,
    *,
    batch: int = BATCH,
    progress: RowsDone = lambda _: None,
) -> SyncReport:
    """Import the rows since the last sync, up to the newest of now; raises OperatorError where disk or log refuse."""
    place, anew = _resume(place_of(dataset), reader)
    report = SyncReport(started_anew=anew)
    writer = _Writer(fo, dataset, reader, pictures, place.epoch)
    for rows in _batches(reader, place.last_id, reader.last_id(), batch):
        added, updated, without = writer.write(rows)
        place = replace(place, last_id=rows[-1].id, last_time=rows[-1].time)
        remember(dataset, place)
        report = replace(
            report,
            rows=report.rows + len(rows),
            added=report.added + added,
            updated=report.updated + updated,
            without_image=report.without_image + without,
        )
        progress(len(rows))
    return replace(report, evicted=mark_evicted(dataset), last_id=place.last_id, samples=dataset.count())


def mark_evicted(dataset: Dataset) -> int:
    """Bring the `image` field up to date with the disk; returns how many images went since."""
    ids, paths, states = dataset.values(["id", "filepath", "image"])
    there = {sample: Path(path).is_file() for sample, path in zip(ids, paths, strict=True)}
    changed = {
        sample: "stored" if there[sample] else "evicted"
        for sample, state in zip(ids, states, strict=True)
        if there[sample] != (state == "stored")
    }
    if changed:
        dataset.set_values("image", changed, key_field="id", progress=False)
    return sum(state == "evicted" for state in changed.values())


def _resume(place: Place, reader: LogReader) -> tuple[Place, bool]:
    """Where to go on, and whether the log is a new one: its ids only ever grow, so it must still know the last row."""
    newest = reader.last_id()
    same = reader.row(place.last_id) if place.last_id else None
    anew = 0 < newest < place.last_id or (same is not None and same.time != place.last_time)
    return (replace(place, last_id=0, last_time=0.0, epoch=place.epoch + 1), True) if anew else (place, False)


def _batches(reader: LogReader, after: int, last: int, size: int) -> Iterator[list[LogRow]]:
    """Rows above `after` up to `last`; each batch is read whole, so that the log is never held open for long."""
    while after < last:
        rows = [row for row in reader.rows(after_id=after, limit=size, embeddings=True) if row.id <= last]
        if not rows:
            return
        yield rows
        after = rows[-1].id


class _Writer:
    """Turns batches of rows into samples."""

    def __init__(self, fo: FiftyOne, dataset: Dataset, reader: LogReader, pictures: PictureFolder, epoch: int) -> None:
        self._fo, self._dataset = fo, dataset
        self._reader, self._pictures = reader, pictures
        self._epoch = epoch

    def write(self, rows: list[LogRow]) -> tuple[int, int, int]:
        """Images added and updated, and rows that came to nothing."""
        merged = merge(rows)
        known = self._update(merged)
        fresh = [self._sample(answers) for sha256, answers in merged.items() if sha256 not in known]
        samples = [sample for sample in fresh if sample is not None]
        if samples:
            self._dataset.add_samples(samples, progress=False)
        imported = known | {sample["sha256"] for sample in samples}
        without = sum(row.sha256 not in imported for row in rows)
        return len(samples), len(known), without

    def _update(self, merged: Mapping[str, Answers]) -> set[str]:
        """Bring samples that are there already up to date; returns their digests."""
        known: set[str] = set()
        view = self._dataset.match(self._fo.ViewField("sha256").is_in(list(merged)))
        for sample in view.iter_samples(autosave=True, progress=False):
            answers = merged[sample["sha256"]]
            self._refresh_file(sample, answers)
            self._fill(sample, answers)
            known.add(answers.sha256)
        return known

    def _sample(self, answers: Answers) -> Sample | None:
        """A new sample; None when its image is not there."""
        image = self._reader.image_path(answers.sha256)
        if image is None:
            return None
        path = self._pictures.link(answers.sha256, image)
        sample = self._fo.Sample(filepath=str(path.absolute()), sha256=answers.sha256, image="stored")
        self._fill(sample, answers)
        return sample

    def _refresh_file(self, sample: Sample, answers: Answers) -> None:
        """An evicted image that was sent again is there again."""
        image = self._reader.image_path(answers.sha256)
        if image is not None:
            sample["filepath"] = str(self._pictures.link(answers.sha256, image).absolute())

    def _fill(self, sample: Sample, answers: Answers) -> None:
        """Everything that rows say, over what earlier rows said; a batch that is read twice changes nothing."""
        known = set(_get(sample, "requests") or ())
        requests = known | {self._key(row) for row in answers.rows.values()}
        sample["requests"] = sorted(requests)
        sample["asked"] = len(requests)
        sample["validators"] = sorted({*(_get(sample, "validators") or ()), *answers.validators})
        first, last = (datetime.fromtimestamp(moment, UTC) for moment in answers.span)
        sample["first_seen"] = min(first, _aware(_get(sample, "first_seen")) or first)
        sample["last_seen"] = max(last, _aware(_get(sample, "last_seen")) or last)
        if self._key(answers.newest) >= max(known, default=0):
            for name, value in _request_facts(answers.newest).items():
                sample[name] = value
        self._fill_predictions(sample, answers)

    def _fill_predictions(self, sample: Sample, answers: Answers) -> None:
        old = _get(sample, PREDICTIONS)
        by_model = {one["model"]: one for one in old.classifications} if old else {}
        for model, row in answers.by_model.items():
            if model not in by_model or by_model[model]["request"] <= self._key(row):
                by_model[model] = self._classification(row)
        if not by_model:
            return
        newest = max(by_model.values(), key=lambda one: one["request"])
        sample[PREDICTIONS] = self._fo.Classifications(classifications=list(by_model.values()))
        sample[PREDICTION] = newest.copy()
        sample["logit"] = float(newest.logits[1])
        sample["probability"] = float(newest["probability"])
        sample["model_version"] = newest["model"]
        compared = answers.compared
        if compared is not None:
            sample[FIRST], sample[SECOND] = compared.first_probability, compared.second_probability
        embedded = answers.embedded
        if embedded is not None and embedded.embedding is not None:
            sample[EMBEDDING] = embedded.embedding.astype(np.float32)
            sample[EMBEDDING_MODEL] = embedded.model_version

    def _classification(self, row: LogRow) -> FiftyOneLabel:
        return classification(
            self._fo, row.probability or 0.0, row.logit or 0.0, model=row.model_version, request=self._key(row)
        )

    def _key(self, row: LogRow) -> int:
        return self._epoch * _EPOCH + row.id


def _request_facts(row: LogRow) -> dict[str, str | int | float | None]:
    """What the newest request of an image says about it and about how it was served."""
    return {
        "status": row.status,
        "status_reason": row.reason,
        "dialect": row.dialect,
        "size_bytes": row.size_bytes,
        "width": row.width,
        "height": row.height,
        "views": row.views,
        "batch_size": row.batch_size,
        ROUTER: row.router,
        "headroom_s": row.headroom_s,
        "decode_s": row.decode_s,
        "queue_s": row.queue_s,
        "inference_s": row.inference_s,
    }


def _get(sample: Sample, name: str) -> Any:  # noqa: ANN401 - a field's value
    return sample[name] if sample.has_field(name) else None


def _aware(moment: datetime | None) -> datetime | None:
    """The database gives UTC without saying so."""
    return None if moment is None else moment.replace(tzinfo=UTC)
