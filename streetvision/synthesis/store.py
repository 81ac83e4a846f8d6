"""What was asked for, what it cost and what was kept, in SQLite; and each set's `made.jsonl`, written from it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streetvision.base.disk import sentences, write_atomically
from streetvision.base.sqlite import migrate, transaction
from streetvision.base.sqlite_trouble import database_sentences
from streetvision.base.state_folder import only_one
from streetvision.sources.made import RECORDS
from streetvision.sources.place import dataset_folder
from streetvision.synthesis.planning import Wish
from streetvision.synthesis.schema import DATABASE, FOLDER, KEPT, SYNTHESIS_SCHEMA

_REMEDIES = {
    "disk_full": "the disk is full: free some space",
    "read_only": "this user may not write it: correct its owner or mount",
    "locked": "another process holds it: let that one finish",
    "corrupt": "it is damaged: move it away to start a new one, which forgets what was made and spent",
}
_SPENT = "SELECT total(price) FROM attempts WHERE begun LIKE ?"
_KEPT = """
SELECT file, label, picture_group, licence, trust, back_end, parent, prompt, seed, kind FROM attempts
WHERE made_for = ? AND outcome = 'kept' ORDER BY file
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A variation that is in the set."""

    file: str
    fingerprint: int
    trust: float


@dataclass(frozen=True, slots=True)
class Variation:
    """One picture of a set."""

    path: Path
    label: bool
    parent: str
    kind: str
    trust: float


@dataclass(frozen=True, slots=True)
class Known:
    """What the near copies of a new variation are looked for among."""

    parent: str
    kind: str
    fingerprint: int


class SynthesisStore:
    """The record, held by one process at a time."""

    def __init__(self, folder: Path, db: sqlite3.Connection) -> None:
        self.folder, self.db = folder, db

    def set_folder(self, name: str) -> Path:
        """Where a set's pictures lie; SourceError for a name that could leave the folder."""
        return self.folder / dataset_folder(name, self.folder).name

    def begin(self, made_for: str, wish: Wish, back_end: str, *, remote: bool, price: float, begun: str) -> int:
        """Note what is about to be asked for; `begun` is ISO 8601 in UTC."""
        with transaction(self.db):
            cursor = self.db.execute(
                "INSERT INTO attempts (made_for, parent, kind, seed, back_end, remote, prompt, begun, price) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    *(made_for, wish.parent.sha256, wish.kind.name, wish.seed, back_end),
                    *(remote, wish.kind.prompt, begun, price),
                ],
            )
        return int(cursor.lastrowid or 0)

    def keep(self, attempt: int, wish: Wish, kept: Kept) -> None:
        """It is in the set; its file is on the disk already."""
        parent = wish.parent
        label = wish.kind.label_of(parent.label)
        number = kept.fingerprint - 2**64 if kept.fingerprint >= 2**63 else kept.fingerprint
        with transaction(self.db):
            self.db.execute(
                "UPDATE attempts SET outcome = ?, file = ?, fingerprint = ?, label = ?, trust = ?, picture_group = ?, "
                "licence = ? WHERE id = ?",
                [KEPT, kept.file, number, label, kept.trust, parent.group, parent.tags.get("licence", ""), attempt],
            )

    def settle(self, attempt: int, outcome: str, why: str, *, free: bool = False) -> None:
        """It was made and dropped, or not made; `free` where that surely cost nothing."""
        with transaction(self.db):
            self.db.execute(
                "UPDATE attempts SET outcome = ?, reason = ?, price = CASE WHEN ? THEN 0.0 ELSE price END WHERE id = ?",
                [outcome, why, free, attempt],
            )

    def forget(self, attempt: int) -> None:
        """Nothing was sent."""
        with transaction(self.db):
            self.db.execute("DELETE FROM attempts WHERE id = ?", [attempt])

    def tried(self, made_for: str, back_end: str) -> frozenset[tuple[str, str, int]]:
        """Parent, kind and seed of all that need not be asked for again."""
        rows = self.db.execute(
            "SELECT parent, kind, seed FROM attempts WHERE made_for = ? AND back_end = ?", [made_for, back_end]
        )
        return frozenset((parent, kind, seed) for parent, kind, seed in rows)

    def known(self, made_for: str) -> list[Known]:
        """Of all that was kept."""
        rows = self.db.execute(
            "SELECT parent, kind, fingerprint FROM attempts WHERE made_for = ? AND outcome = 'kept'", [made_for]
        )
        return [Known(parent, kind, number % 2**64) for parent, kind, number in rows]

    def spent(self, month: str) -> float:
        """Money in a month such as `2026-11`, what may have been paid included."""
        return float(self.db.execute(_SPENT, [f"{month}%"]).fetchone()[0])

    def sent(self, day: str) -> int:
        """Orders to other machines on a day such as `2026-11-30`."""
        query = "SELECT count(*) FROM attempts WHERE remote AND begun LIKE ?"
        return int(self.db.execute(query, [f"{day}%"]).fetchone()[0])

    def stats(self, made_for: str) -> dict[str, Any]:
        """Counts of a set by kind and outcome, reasons, money, and its newest ablation."""
        rows = self.db.execute(
            "SELECT kind, coalesce(outcome, 'unknown'), reason, price FROM attempts WHERE made_for = ?", [made_for]
        ).fetchall()
        kinds: dict[str, Counter[str]] = {}
        for kind, outcome, _, _ in rows:
            kinds.setdefault(kind, Counter())[outcome] += 1
        found = self.db.execute(
            "SELECT judged, found FROM ablations WHERE made_for = ? ORDER BY rowid DESC LIMIT 1", [made_for]
        ).fetchone()
        return {
            "set": made_for,
            "folder": str(self.set_folder(made_for)),
            "kept": sum(counts[KEPT] for counts in kinds.values()),
            "kinds": {kind: dict(counts) for kind, counts in sorted(kinds.items())},
            "reasons": dict(Counter(f"{kind}: {why}" for kind, _, why, _ in rows if why).most_common()),
            "spent": sum(price for *_, price in rows),
            "ablation": None if found is None else {"judged": found[0], **json.loads(found[1])},
        }

    def sets(self) -> list[str]:
        """Names of all."""
        return [name for (name,) in self.db.execute("SELECT DISTINCT made_for FROM attempts ORDER BY made_for")]

    def note_ablation(self, made_for: str, judged: str, found: Mapping[str, Any]) -> None:
        """Keep what an ablation found."""
        with transaction(self.db):
            self.db.execute("INSERT INTO ablations VALUES (?, ?, ?)", [made_for, judged, json.dumps(found)])

    def kept(self, made_for: str) -> list[Variation]:
        """All that is in a set, in the order of its files."""
        folder = self.set_folder(made_for)
        rows = self.db.execute(_KEPT, [made_for]).fetchall()
        return [
            Variation(folder / file, bool(label), parent, kind, trust)
            for file, label, _, _, trust, _, parent, _, _, kind in rows
        ]

    def write_records(self, made_for: str) -> None:
        """Bring the set's `made.jsonl` up to date."""
        file = self.set_folder(made_for) / RECORDS
        lines = [json.dumps(_record(row)) for row in self.db.execute(_KEPT, [made_for])]
        with sentences(f"Writing {file}"):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, "".join(f"{line}\n" for line in lines))


def _record(row: tuple[Any, ...]) -> dict[str, Any]:
    file, label, group, licence, trust, back_end, parent, prompt, seed, kind = row
    record = {
        "file": file,
        "label": "roadwork" if label else "none",
        "made_by": back_end,
        "labelled_by": f"synthetic {back_end}",
        "trust": trust,
        "group": group,
        "parent": parent,
        "prompt": prompt,
        "seed": seed,
        "back_end": back_end,
        "tags": {"kind": kind},
    }
    return record | ({"licence": licence} if licence else {})


@contextmanager
def open_store(state: Path) -> Iterator[SynthesisStore]:
    """The record in the state folder; OperatorError while another process has it, or when the disk fails."""
    folder = state / FOLDER
    with (
        only_one(folder, "synthesise"),
        store_sentences(folder),
        closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as db,
    ):
        migrate(db, SYNTHESIS_SCHEMA)
        with transaction(db):  # what costs nothing may be asked for once more
            db.execute("DELETE FROM attempts WHERE outcome IS NULL AND price = 0")
        yield SynthesisStore(folder, db)


@contextmanager
def reading_store(state: Path) -> Iterator[SynthesisStore]:
    """The record to look at, beside whoever holds it; empty where nothing was made. OperatorError when it fails."""
    folder = state / FOLDER
    file = folder / DATABASE
    place = f"{file.absolute().as_uri()}?mode=rw" if file.is_file() else "file::memory:"
    with store_sentences(folder), closing(sqlite3.connect(place, uri=True, isolation_level=None)) as db:
        migrate(db, SYNTHESIS_SCHEMA)
        yield SynthesisStore(folder, db)


def spent_in(state: Path, month: str) -> float:
    """Money of a month, read beside whoever holds the record; raises OperatorError."""
    file = state / FOLDER / DATABASE
    if not file.is_file():
        return 0.0
    with store_sentences(file.parent), closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return float(db.execute(_SPENT, [f"{month}%"]).fetchone()[0])


def store_sentences(folder: Path) -> AbstractContextManager[None]:
    """Turn a failure of the database into one sentence."""
    return database_sentences("the record of variations", folder / DATABASE, _REMEDIES, (sqlite3.Error,))
