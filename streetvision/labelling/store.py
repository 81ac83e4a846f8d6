"""The oracle's database, written by one process at a time: a question stands in it before it goes out.

So whatever ends the process, every question that may have been paid is known, counts as spent, and is not asked again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from streetvision.base.sqlite import migrate, transaction
from streetvision.base.sqlite_trouble import database_sentences
from streetvision.base.state_folder import only_one
from streetvision.labelling.answer import Answer
from streetvision.labelling.pictures import ASKED, Picture
from streetvision.labelling.schema import DATABASE, FOLDER, LABELLING_SCHEMA, WORK, State

_REMEDIES = {
    "disk_full": "the disk is full: free some space",
    "read_only": "this user may not write it: correct its owner or mount",
    "locked": "another process holds it: let that one finish",
    "corrupt": "it is damaged: move it away to start a new one; the answers that were paid are lost",
}
ENDED = "the process ended before the answer came"
_PICTURE = f"""
INSERT INTO pictures (sha256, path, source, place, probability, human) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (sha256) DO UPDATE SET
    path = iif(excluded.source = '{ASKED}', path, excluded.path),
    place = iif(excluded.source = '{ASKED}', place, excluded.place),
    source = iif(excluded.source = '{ASKED}', source, excluded.source),
    probability = coalesce(excluded.probability, probability), human = coalesce(excluded.human, human)
"""  # noqa: S608 - our own word


@dataclass(frozen=True, slots=True)
class Cost:
    """What questions take."""

    tokens: int = 0
    money: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.tokens + other.tokens, self.money + other.money)


@dataclass(frozen=True, slots=True)
class Spent:
    """Of today and of this month, questions included that are under way or lost."""

    day: Cost
    month: Cost


@dataclass(frozen=True, slots=True)
class Asked:
    """A picture with what an oracle said of its views."""

    picture: Picture
    answers: tuple[Answer, ...]


class LabellingStore:
    """The database in `<state_dir>/labelling`; methods raise OperatorError and then have changed nothing."""

    def __init__(self, state_dir: Path) -> None:
        self.file = state_dir / FOLDER / DATABASE
        with self._sentences():
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(self.file, isolation_level=None, timeout=10.0, check_same_thread=False)
            with contextlib.ExitStack() as undo:
                undo.callback(self._db.close)
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                migrate(self._db, LABELLING_SCHEMA)
                undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    # -- questions -----------------------------------------------------------------------------------------------------

    def answers(self, asker: str, picture: str) -> tuple[Answer, ...]:
        """What an oracle said of a picture's views, in their order."""
        query = (
            "SELECT roadwork, certainty, objects, remark FROM questions "
            "WHERE asker = ? AND picture = ? AND state = ? AND superseded = 0 ORDER BY view"
        )
        with self._sentences():
            return tuple(_answer(row) for row in self._db.execute(query, [asker, picture, State.ANSWERED]))

    def asked(self, asker: str, picture: str) -> set[int]:
        """The views of a picture (by digest) that need not, or must not, be asked about again."""
        query = "SELECT view FROM questions WHERE asker = ? AND picture = ? AND superseded = 0"
        with self._sentences():
            return {view for (view,) in self._db.execute(query, [asker, picture])}

    def open(self, asker: str, picture: str, view: int, reserved: Cost, now: str) -> int:
        """Write down that a question goes out now; returns its number. A question that was asked before is a defect."""
        with self._on_disk(), self._transaction() as db:
            self._spend(now[:10], reserved)
            row = db.execute(
                "INSERT INTO questions (picture, asker, view, sent, state, tokens, money) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [picture, asker, view, now, State.OPEN, reserved.tokens, reserved.money],
            )
            return int(row.lastrowid or 0)

    def answer(self, question: int, answer: Answer, cost: Cost | None) -> None:
        """Its answer came; `cost` is what it took, None where the server does not say."""
        fields = [int(answer.roadwork), answer.certainty, json.dumps(answer.objects), answer.remark]
        with self._transaction() as db:
            self._settle(question, State.ANSWERED, cost)
            db.execute(
                "UPDATE questions SET roadwork = ?, certainty = ?, objects = ?, remark = ? WHERE id = ?",
                [*fields, question],
            )

    def spoil(self, question: int, why: str, cost: Cost | None) -> None:
        """What came is no answer, and was paid."""
        with self._transaction() as db:
            self._settle(question, State.UNUSABLE, cost)
            db.execute("UPDATE questions SET remark = ? WHERE id = ?", [why, question])

    def lose(self, question: int, why: str) -> None:
        """Nobody knows what became of it."""
        with self._transaction() as db:
            self._settle(question, State.LOST, None)
            db.execute("UPDATE questions SET remark = ? WHERE id = ?", [why, question])

    def free(self, question: int) -> None:
        """It was surely not paid: as if it had never been asked."""
        with self._transaction() as db:
            day, reserved = self._reserved(question)
            self._spend(day, Cost(-reserved.tokens, -reserved.money))
            db.execute("DELETE FROM questions WHERE id = ?", [question])

    def lose_open(self) -> int:
        """Give up the questions that a process left open when it ended; how many. Only while no other process asks."""
        with self._transaction() as db:
            query = "UPDATE questions SET state = ?, remark = ? WHERE state = ?"
            return db.execute(query, [State.LOST, ENDED, State.OPEN]).rowcount

    def allow_lost(self, asker: str) -> int:
        """Let what was lost be asked anew: it may be paid a second time; how many questions."""
        with self._transaction() as db:
            query = "UPDATE questions SET superseded = id WHERE asker = ? AND state = ? AND superseded = 0"
            return db.execute(query, [asker, State.LOST]).rowcount

    def states(self, asker: str) -> dict[str, int]:
        """Questions by state."""
        query = "SELECT state, count(*) FROM questions WHERE asker = ? AND superseded = 0 GROUP BY state"
        with self._sentences():
            return {str(state): int(count) for state, count in self._db.execute(query, [asker])}

    # -- what they cost ------------------------------------------------------------------------------------------------

    def spent(self, now: str) -> Spent:
        """Today's and this month's cost; `now` is ISO 8601 in UTC."""
        query = "SELECT coalesce(sum(tokens), 0), coalesce(sum(money), 0.0) FROM spending WHERE day BETWEEN ? AND ?"
        with self._sentences():
            day = self._db.execute(query, [now[:10], now[:10]]).fetchone()
            month = self._db.execute(query, [f"{now[:7]}-01", f"{now[:7]}-31"]).fetchone()
        return Spent(Cost(*day), Cost(*month))

    def mean_cost(self, asker: str) -> Cost | None:
        """Of an answered question; None before the first."""
        query = "SELECT avg(tokens), avg(money) FROM questions WHERE asker = ? AND state = ? AND tokens > 0"
        with self._sentences():
            tokens, money = self._db.execute(query, [asker, State.ANSWERED]).fetchone()
        return None if tokens is None else Cost(round(tokens), money)

    # -- pictures ------------------------------------------------------------------------------------------------------

    def note(self, pictures: Iterable[Picture]) -> None:
        """Remember what is known of pictures; a label or answer that was known stays where a newer one says nothing."""
        rows = [(p.sha256, str(p.path), p.source, p.place, p.probability, p.human) for p in pictures]
        with self._transaction() as db:
            db.executemany(_PICTURE, rows)

    def note_labels(self, labels: Mapping[str, bool]) -> None:
        """What people said meanwhile of pictures, by digest; pictures that were never asked about are left out."""
        with self._transaction() as db:
            query = "UPDATE pictures SET human = ? WHERE sha256 = ?"
            db.executemany(query, [(int(label), sha256) for sha256, label in labels.items()])

    def answered(self, asker: str) -> list[Asked]:
        """All pictures that this oracle answered, in the order of their digests."""
        query = (
            "SELECT sha256, path, source, place, probability, human, roadwork, certainty, objects, questions.remark "
            "FROM questions JOIN pictures ON sha256 = picture WHERE asker = ? AND state = ? AND superseded = 0 "
            "ORDER BY sha256, view"
        )
        found: dict[str, tuple[Picture, list[Answer]]] = {}
        with self._sentences():
            for row in self._db.execute(query, [asker, State.ANSWERED]):
                _, answers = found.setdefault(row[0], (_picture(row[:6]), []))
                answers.append(_answer(row[6:]))
        return [Asked(picture, tuple(answers)) for picture, answers in found.values()]

    # -- within --------------------------------------------------------------------------------------------------------

    def _settle(self, question: int, state: State, cost: Cost | None) -> None:
        day, reserved = self._reserved(question)
        took = reserved if cost is None else cost
        self._spend(day, Cost(took.tokens - reserved.tokens, took.money - reserved.money))
        self._db.execute(
            "UPDATE questions SET state = ?, tokens = ?, money = ? WHERE id = ?",
            [state, took.tokens, took.money, question],
        )

    def _reserved(self, question: int) -> tuple[str, Cost]:
        query = "SELECT substr(sent, 1, 10), tokens, money FROM questions WHERE id = ? AND state = ?"
        day, tokens, money = self._db.execute(query, [question, State.OPEN]).fetchone()
        return day, Cost(tokens, money)

    def _spend(self, day: str, cost: Cost) -> None:
        self._db.execute(
            "INSERT INTO spending VALUES (?, ?, ?) ON CONFLICT (day) DO UPDATE SET "
            "tokens = tokens + excluded.tokens, money = money + excluded.money",
            [day, cost.tokens, cost.money],
        )

    @contextlib.contextmanager
    def _on_disk(self) -> Iterator[None]:
        """Wait for the disk: a power failure must not forget what was sent.

        What it may forget is how a question ended, which is then lost as if no answer had come: spent, not repeated.
        """
        self._db.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = NORMAL")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._sentences(), transaction(self._db):
            yield self._db

    def _sentences(self) -> contextlib.AbstractContextManager[None]:
        """Turn a failure of the database or the disk into one sentence."""
        return database_sentences("the oracle's database", self.file, _REMEDIES)


@contextlib.contextmanager
def asking_store(state_dir: Path) -> Iterator[LabellingStore]:
    """The database for the one process that asks; what an earlier one left open is lost. OperatorError for a second."""
    with only_one(state_dir / FOLDER, WORK), LabellingStore(state_dir) as store:
        store.lose_open()
        yield store


def _answer(row: Sequence[Any]) -> Answer:
    roadwork, certainty, objects, remark = row
    return Answer(bool(roadwork), certainty, tuple(json.loads(objects)), remark)


def _picture(row: Sequence[object]) -> Picture:
    sha256, path, source, place, probability, human = row
    return Picture(
        sha256=str(sha256),
        path=Path(str(path)),
        source=str(source),
        place=str(place),
        probability=probability if isinstance(probability, float) else None,
        human=None if human is None else bool(human),
    )
