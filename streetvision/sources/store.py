"""A dataset being written: batches of checked pictures, each whole or not at all, whatever ends the process.

A picture's file is on the disk before the row that names it is committed, and the key to go on after is committed with
the rows: so a killed reading repeats one batch at most, and no row names a file that is not there.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from streetvision.base.disk import exclusive, staging, sync_folder, write_all
from streetvision.base.sqlite import migrate, transaction
from streetvision.base.sqlite_trouble import database_sentences
from streetvision.sources.picture import PictureFacts
from streetvision.sources.schema import DATABASE, DATASET_SCHEMA, PICTURES
from streetvision.sources.source import Source, SourceError, SourcePicture, Unusable

_REMEDIES = {
    "disk_full": "the disk is full: free some space and run this again, it goes on where it stopped",
    "read_only": "its folder cannot be written: correct its owner or name another state folder with --state_dir",
    "locked": "another process holds it: let that one finish",
    "corrupt": "its database is damaged: remove it with `streetvision data rm` and add it again",
}
_SYNCING = 16
"""Files that are flushed to the disk at once: it waits for them together."""

_OCCURRENCE = """
INSERT INTO occurrences (source, key, sha256, label, picture_group, licence, url, labelled_by, trust, tags)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (source, key) DO UPDATE SET sha256 = excluded.sha256, label = excluded.label,
    picture_group = excluded.picture_group, licence = excluded.licence, url = excluded.url,
    labelled_by = excluded.labelled_by, trust = excluded.trust, tags = excluded.tags
"""
_PICTURE = """
INSERT OR IGNORE INTO pictures (sha256, file, size_bytes, width, height, fingerprint) VALUES (?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a source was read."""

    source: int
    last_key: str | None
    complete: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """A picture that may enter; no facts where its bytes are there already."""

    picture: SourcePicture
    sha256: str
    facts: PictureFacts | None


def store_sentences(folder: Path) -> AbstractContextManager[None]:
    """Turn a failure of the disk or the database into one sentence, a SourceError."""
    return database_sentences("the dataset", folder / DATABASE, _REMEDIES, told=SourceError)


@contextmanager
def writing(folder: Path) -> Iterator[DatasetStore]:
    """Open a dataset to write, making one that is not there; OperatorError when another process writes it.

    One that was made and got nothing before a failure is gone again.
    """
    with ExitStack() as held:
        with store_sentences(folder):
            held.enter_context(exclusive(folder, patience_s=0.0))
        made = not (folder / DATABASE).exists()
        store = DatasetStore(folder)
        try:
            with closing(store.db):
                yield store
        except BaseException:
            if made and not store.got_something:
                _take_away(folder)
            raise


def _take_away(folder: Path) -> None:
    with staging(folder.parent) as place:
        folder.rename(place / folder.name)


class DatasetStore:
    """One dataset that this process alone writes; methods raise SourceError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.got_something = False
        """Whether `write` stored or noted anything."""
        with store_sentences(folder):
            (folder / PICTURES).mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(folder / DATABASE, isolation_level=None)
            try:
                migrate(self.db, DATASET_SCHEMA)
            except BaseException:
                self.db.close()
                raise

    def reading(self, name: str) -> Reading:
        """How far this source was read; begins one that is new."""
        with store_sentences(self.folder):
            self.db.execute("INSERT OR IGNORE INTO sources (name) VALUES (?)", [name])
            row = self.db.execute("SELECT id, last_key, complete FROM sources WHERE name = ?", [name]).fetchone()
        return Reading(row[0], row[1], bool(row[2]))

    def after(self, source: Source) -> str | None:
        """The key after which to read a source: its last one, unless it was read to its end and may have grown."""
        reading = self.reading(source.name)
        return None if reading.complete and source.grows else reading.last_key

    def has(self, sha256: str) -> bool:
        """Whether a picture with these bytes is here."""
        return self.db.execute("SELECT 1 FROM pictures WHERE sha256 = ?", [sha256]).fetchone() is not None

    def write(self, reading: Reading, items: Sequence[Checked | Unusable], last_key: str) -> int:
        """Store one batch, and that the source was read up to `last_key`; how many of its pictures are new here."""
        checked = [item for item in items if isinstance(item, Checked)]
        unusable = [item for item in items if isinstance(item, Unusable)]
        with store_sentences(self.folder):
            self._store_files(checked)
            with transaction(self.db):
                rows = [_picture_row(item, item.facts) for item in checked if item.facts]
                new = self.db.executemany(_PICTURE, rows).rowcount if rows else 0
                self.db.executemany(_OCCURRENCE, [_occurrence_row(reading.source, item) for item in checked])
                self._replace_unusable(reading.source, checked, unusable)
                self.db.execute(
                    "UPDATE sources SET last_key = ?, complete = 0 WHERE id = ?", [last_key, reading.source]
                )
        self.got_something = True
        return new

    def finish(self, reading: Reading) -> None:
        """Note that the source was read to its end."""
        with store_sentences(self.folder):
            self.db.execute("UPDATE sources SET complete = 1 WHERE id = ?", [reading.source])

    def _replace_unusable(self, source: int, checked: Iterable[Checked], unusable: Iterable[Unusable]) -> None:
        """A file that was mended leaves the list, and one that broke leaves the dataset."""
        self.db.executemany(
            "DELETE FROM unusable WHERE source = ? AND key = ?", [(source, item.picture.key) for item in checked]
        )
        bad = [(source, item.key, item.reason) for item in unusable]
        self.db.executemany("DELETE FROM occurrences WHERE source = ? AND key = ?", [row[:2] for row in bad])
        self.db.executemany("INSERT OR REPLACE INTO unusable (source, key, reason) VALUES (?, ?, ?)", bad)

    def _store_files(self, checked: Iterable[Checked]) -> None:
        files = {
            self.folder / picture_file(item.sha256, item.facts): item.picture.data for item in checked if item.facts
        }
        folders = {path.parent for path in files}
        for folder in folders:
            folder.mkdir(exist_ok=True)
        with ThreadPoolExecutor(_SYNCING) as pool:
            for _ in pool.map(_write_file, files, files.values()):
                pass
            for _ in pool.map(sync_folder, folders):
                pass


def picture_file(sha256: str, facts: PictureFacts) -> str:
    """Relative to the dataset's folder."""
    return f"{PICTURES}/{sha256[:2]}/{sha256}{facts.suffix}"


def _write_file(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    temporary.replace(path)


def _picture_row(item: Checked, facts: PictureFacts) -> tuple[str | int, ...]:
    size = len(item.picture.data)
    return item.sha256, picture_file(item.sha256, facts), size, facts.width, facts.height, signed(facts.fingerprint)


def _occurrence_row(source: int, item: Checked) -> tuple[str | int | float, ...]:
    one = item.picture
    tags = json.dumps(dict(one.tags), sort_keys=True)
    labelled = (int(one.label), one.group, one.licence, one.url, one.labelled_by, one.trust, tags)
    return source, one.key, item.sha256, *labelled


def signed(fingerprint: int) -> int:
    """64 bits as SQLite keeps integers."""
    return fingerprint - (1 << 64) if fingerprint >> 63 else fingerprint
