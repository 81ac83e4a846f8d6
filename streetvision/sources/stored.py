"""A dataset that was added, as training and judging read it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from streetvision.base.sqlite import check_version
from streetvision.sources.dataset import Example
from streetvision.sources.schema import BELIEVED, DATABASE, DATASET_SCHEMA
from streetvision.sources.source import SourceError
from streetvision.sources.store import store_sentences

CONTRARY = "the same bytes have contrary labels"

UNARRANGED = """
SELECT count(DISTINCT sha256) FROM pictures JOIN occurrences USING (sha256) WHERE split IS NULL AND left_out IS NULL
"""
"""Pictures that were added and have no split yet."""
_EXAMPLES = f"""
SELECT sha256, file, cluster, split, label, picture_group, trust, sources.name, licence, labelled_by, tags,
    count(*) OVER (PARTITION BY cluster, label) AS alike
FROM pictures
JOIN (SELECT *, row_number() OVER (PARTITION BY sha256 ORDER BY source, key) AS rank FROM {BELIEVED})
    AS occurrence USING (sha256)
JOIN sources ON sources.id = occurrence.source
WHERE rank = 1 AND split IS NOT NULL ORDER BY sha256
"""  # noqa: S608 - our own words


class StoredDataset:
    """A dataset in the state folder, read once when it is opened; raises SourceError."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.folder = folder
        with reading(folder) as db:
            (waiting,) = db.execute(UNARRANGED).fetchone()
            if waiting:
                raise SourceError(
                    f"{waiting:,} pictures of {self.name} wait for their split: let the `streetvision data add` that "
                    "brings them finish, or run it again if it was killed."
                )
            self._examples = [_example(folder, row) for row in db.execute(_EXAMPLES)]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over contents, labels, splits and weights."""
        return fingerprint_of(self._examples)

    def examples(self, split: str | None = None) -> list[Example]:
        """Those of one split, or all, in the order of their digests."""
        return [example for example in self._examples if split in (None, example.split)]


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """The database of a dataset, to read; SourceError when it cannot be read.

    Opened so that SQLite can undo what a killed writer left half done; on a read-only disk it does without.
    """
    with (
        store_sentences(folder),
        contextlib.closing(sqlite3.connect(f"{(folder / DATABASE).as_uri()}?mode=rw", uri=True)) as db,
    ):
        check_version(db, DATASET_SCHEMA)
        yield db


def fingerprint_of(examples: Sequence[Example]) -> str:
    """The same exactly when training on them would see the same, wherever they lie."""
    lines = sorted(f"{one.sha256} {one.label:d} {one.split} {one.weight:.6f}\n" for one in examples)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _example(folder: Path, row: Sequence[str]) -> Example:
    digest, file, _, split, label, group, trust, source, licence, labelled_by, tags, alike = row
    return Example(
        path=folder / file,
        label=bool(label),
        group=group,
        split=split,
        weight=float(trust) / int(alike),
        sha256=digest,
        source=source,
        tags={**json.loads(tags), "licence": licence, "labelled_by": labelled_by},
    )
