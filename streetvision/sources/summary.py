"""What a dataset holds, in numbers: classes by split, sources, licences, and what was left out and why."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streetvision.sources.labels import CLASSES
from streetvision.sources.schema import BELIEVED
from streetvision.sources.source import UNKNOWN_LICENCE
from streetvision.sources.splitting import SPLITS
from streetvision.sources.stored import UNARRANGED, reading

Counts = Mapping[str, int]
_FIRST = f"""
(SELECT sha256, min(label) AS label, max(label) AS most, licence, labelled_by FROM {BELIEVED} GROUP BY sha256)
"""  # noqa: S608 - our own words


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """One source of a dataset."""

    name: str
    pictures: int
    unusable: int
    complete: bool
    """Whether it was read to its end."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole dataset."""

    name: str
    pictures: int
    """In a split."""
    bytes: int
    splits: Mapping[str, Counts]
    """Pictures by split and class."""
    waiting: int
    """Added, but not split yet: a command was killed."""
    near_duplicates: int
    """Pictures that have a near duplicate."""
    sources: tuple[SourceSummary, ...]
    licences: Counts
    labelled_by: Counts
    unusable: Counts
    """By reason: what the sources gave that is no picture to learn from."""
    left_out: Counts
    """By reason: sound pictures that are in no split."""

    @property
    def classes(self) -> Counter[str]:
        """Pictures by class."""
        return sum((Counter(counts) for counts in self.splits.values()), Counter[str]())

    def warnings(self) -> list[str]:
        """What stands in the way of a good model, each a sentence with its remedy."""
        return [sentence for sentence in (self._of_classes(), *self._of_splits(), *self._of_sources()) if sentence]

    def _of_classes(self) -> str:
        missing = [name for name in CLASSES if not self.classes[name]]
        if len(missing) == 1:
            return f"No picture is labelled {missing[0]}: nothing can be learned from one class; add a source with it."
        if not self.pictures:
            return "" if self.waiting else "There are no pictures: add a source."
        few, many = sorted(self.classes.values())
        return f"The classes stand 1 to {many / few:.1f}: train with balanced classes." if many > 10 * few else ""

    def _of_splits(self) -> list[str]:
        lacking = [
            f"{split} lacks {name}"
            for split in ("train", "val")
            for name in CLASSES
            if self.classes[name] and not self.splits[split].get(name)
        ]
        return [f"Of the splits {' and '.join(lacking)}: add pictures of further groups."] if lacking else []

    def _of_sources(self) -> list[str]:
        partial = [source.name for source in self.sources if not source.complete]
        unknown = self.licences.get(UNKNOWN_LICENCE, 0)
        return [
            f"{self.waiting:,} pictures wait for a split: run the last `streetvision data add` again."
            if self.waiting
            else "",
            f"Not read to the end: {', '.join(partial)}; the same `streetvision data add` goes on." if partial else "",
            f"The licence of {unknown:,} pictures is unknown: do not pass these on." if unknown else "",
        ]


def summarize(folder: Path) -> Summary:
    """Read a dataset's numbers; raises SourceError."""
    with reading(folder) as db:
        splits: dict[str, dict[str, int]] = {split: {} for split in SPLITS}
        for split, label, count in db.execute(
            f"SELECT split, label, count(*) FROM pictures JOIN {_FIRST} USING (sha256) "  # noqa: S608 - our own text
            "WHERE split IS NOT NULL GROUP BY 1, 2"
        ):
            splits[split][CLASSES[label]] = count
        return Summary(
            name=folder.name,
            pictures=sum(sum(counts.values()) for counts in splits.values()),
            bytes=_one(db, "SELECT coalesce(sum(size_bytes), 0) FROM pictures WHERE split IS NOT NULL"),
            splits=splits,
            waiting=_one(db, UNARRANGED),
            near_duplicates=_one(
                db,
                "SELECT coalesce(sum(n), 0) FROM (SELECT count(*) AS n FROM pictures WHERE split IS NOT NULL "
                "GROUP BY cluster HAVING n > 1)",
            ),
            sources=_sources(db),
            licences=_of_pictures(db, "licence"),
            labelled_by=_of_pictures(db, "labelled_by"),
            unusable=_counts(db, "SELECT reason, count(*) FROM unusable GROUP BY 1 ORDER BY 2 DESC, 1"),
            left_out=_counts(
                db,
                "SELECT left_out, count(DISTINCT sha256) FROM pictures JOIN occurrences USING (sha256) "
                "WHERE left_out IS NOT NULL GROUP BY 1",
            ),
        )


def _sources(db: sqlite3.Connection) -> tuple[SourceSummary, ...]:
    rows = db.execute(
        "SELECT name, (SELECT count(*) FROM occurrences WHERE source = id), "
        "(SELECT count(*) FROM unusable WHERE source = id), complete FROM sources ORDER BY id"
    )
    return tuple(SourceSummary(name, pictures, unusable, bool(complete)) for name, pictures, unusable, complete in rows)


def _of_pictures(db: sqlite3.Connection, column: str) -> Counts:
    return _counts(
        db,
        f"SELECT {column}, count(*) FROM pictures JOIN {_FIRST} USING (sha256) "  # noqa: S608 - our own text
        "WHERE split IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1",
    )


def _one(db: sqlite3.Connection, query: str) -> int:
    return int(db.execute(query).fetchone()[0])


def _counts(db: sqlite3.Connection, query: str) -> Counts:
    return dict(db.execute(query).fetchall())
