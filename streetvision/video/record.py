"""The record of one video: answers by time, the state to go on from, and what was found out about it.

One SQLite file a video in `videos/` of the state folder, named after the video and where it lies. A batch of answers
and the place that reading has reached are committed together: a killed scan repeats one batch at most.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streetvision.base.sqlite import Schema, migrate, transaction
from streetvision.base.sqlite_trouble import database_sentences
from streetvision.video.smoothing import Segment

VIDEOS = "videos"
SUFFIX = ".sqlite"

SCHEMA = Schema(
    name="the record",
    remedy="delete it and scan the video again",
    migrations=(
        """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE samples (time REAL PRIMARY KEY, logit REAL NOT NULL, choice TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE thumbnails (time REAL PRIMARY KEY, jpeg BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE vectors (
    time REAL NOT NULL,
    model TEXT NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (model, time)
) STRICT, WITHOUT ROWID;
CREATE TABLE opinions (
    start REAL NOT NULL,
    until REAL NOT NULL,
    model TEXT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (model, start, until)
) STRICT, WITHOUT ROWID
""",
    ),
)
_REMEDIES = {
    "disk_full": "the disk is full: free some space",
    "read_only": "this user may not write it: correct its owner or mount",
    "locked": "another process holds it: let that one finish",
    "corrupt": "it is damaged: delete it and scan the video again",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Which file a record is about."""

    uri: str
    """An absolute path, or s3://bucket/key."""
    size: int
    stamp: str
    """Changes when its bytes do: the time of its last change, or S3's ETag."""

    @property
    def name(self) -> str:
        """Of its file in the folder of records."""
        plain = re.sub(r"[^\w.-]+", "-", self.uri.rpartition("/")[2])[:60].strip(".-") or "video"
        return f"{plain}-{hashlib.sha256(self.uri.encode(errors='surrogateescape')).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Sample:
    """A model's answer to one frame."""

    time: float
    logit: float
    choice: str
    """Why the frame was taken: `time` or `change`."""


class Record:
    """An opened record; use `open_record`."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path, self._db = path, db

    def fact(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """One of the facts that were set; None where it was not."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
        return None if row is None else json.loads(row[0])

    def set_facts(self, **facts: object) -> None:
        """Keep facts as JSON, all or none."""
        with transaction(self._db):
            self._set(facts)

    @property
    def begun(self) -> bool:
        """Whether it is about a video yet: not where its scan was killed while it made the file."""
        return self.fact("identity") is not None

    @property
    def searchable(self) -> bool:
        """Whether times of answers are the file's own, so that a frame can be found by one."""
        return bool((self.fact("state") or {}).get("position", {}).get("searchable"))

    @property
    def seconds(self) -> float:
        """The video's length: as it says, or up to the last answer."""
        declared = (self.fact("video") or {}).get("seconds") or 0.0
        last = self._db.execute("SELECT max(time) FROM samples").fetchone()[0] or 0.0
        return max(float(declared), float(last))

    def begin(self, identity: Identity, how: Mapping[str, Any]) -> None:
        """Forget what belongs to another state of the file, and answers that were found in another way."""
        wanted = asdict(identity)
        other_file, other_way = self.fact("identity") != wanted, self.fact("how") != dict(how)
        with transaction(self._db):
            if other_file or other_way:
                for table in ("facts", "samples", "thumbnails"):
                    self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
            if other_file:
                for table in ("vectors", "opinions"):
                    self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
            self._set({"identity": wanted, "how": dict(how)})

    def add(self, samples: Sequence[Sample], state: Mapping[str, Any]) -> None:
        """Keep a batch together with the state to go on from."""
        with transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO samples (time, logit, choice) VALUES (?, ?, ?)",
                [(one.time, one.logit, one.choice) for one in samples],
            )
            self._set({"state": dict(state)})

    def count(self) -> int:
        """Answers that are kept."""
        return int(self._db.execute("SELECT count(*) FROM samples").fetchone()[0])

    def samples(self) -> list[Sample]:
        """All answers in order of time."""
        return [Sample(*row) for row in self._db.execute("SELECT time, logit, choice FROM samples ORDER BY time")]

    def series(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times and logits [N] in order of time."""
        rows = self._db.execute("SELECT time, logit FROM samples ORDER BY time").fetchall()
        both = np.array(rows, np.float64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def segments(self) -> list[Segment]:
        """As the scan found them; empty before its end."""
        return [Segment(**fields) for fields in self.fact("segments") or []]

    def set_thumbnails(self, pictures: Mapping[float, bytes]) -> None:
        """Keep JPEGs by the times that they were asked for."""
        with transaction(self._db):
            self._db.execute("DELETE FROM thumbnails")
            self._db.executemany("INSERT INTO thumbnails (time, jpeg) VALUES (?, ?)", list(pictures.items()))

    def thumbnails(self) -> dict[float, bytes]:
        """JPEGs by time."""
        return dict(self._db.execute("SELECT time, jpeg FROM thumbnails ORDER BY time").fetchall())

    def add_vector(self, time: float, model: str, vector: NDArray[np.float32]) -> None:
        """Keep a frame's embedding by another model, in half precision."""
        with transaction(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO vectors (time, model, vector) VALUES (?, ?, ?)",
                [time, model, vector.astype(np.float16).tobytes()],
            )

    def vectors(self, model: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Times [N] and embeddings [N, D] that were kept of this model, of the most frequent size where they differ."""
        rows = self._db.execute("SELECT time, vector FROM vectors WHERE model = ? ORDER BY time", [model]).fetchall()
        sizes = Counter(len(vector) for _, vector in rows)
        rows = [row for row in rows if len(row[1]) == max(sizes, key=sizes.__getitem__)]
        vectors = [np.frombuffer(vector, np.float16) for _, vector in rows]
        times = np.array([time for time, _ in rows], np.float64)
        return times, np.array(vectors, np.float32) if rows else np.zeros((0, 0), np.float32)

    def add_opinion(self, start: float, until: float, model: str, answer: Mapping[str, Any]) -> None:
        """Keep what another model said of a stretch."""
        with transaction(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO opinions (start, until, model, answer) VALUES (?, ?, ?, ?)",
                [start, until, model, json.dumps(answer)],
            )

    def opinions(self) -> dict[tuple[float, float], list[dict[str, Any]]]:
        """The newest answer of each model by stretch, each with its `model`."""
        rows = self._db.execute("SELECT start, until, model, answer FROM opinions ORDER BY start, model").fetchall()
        found: dict[tuple[float, float], list[dict[str, Any]]] = {}
        for start, until, model, answer in rows:
            found.setdefault((start, until), []).append({**json.loads(answer), "model": model})
        return found

    def _set(self, facts: Mapping[str, object]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)",
            [(name, json.dumps(value)) for name, value in facts.items()],
        )


@contextmanager
def open_record(path: Path) -> Iterator[Record]:
    """Open a record, making one that is not there; raises OperatorError with one sentence."""
    with database_sentences("the record", path, _REMEDIES):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            migrate(db, SCHEMA)
            yield Record(path, db)


def record_path(state: Path, identity: Identity) -> Path:
    """Where the record of a video lies."""
    return state / VIDEOS / f"{identity.name}{SUFFIX}"


def record_files(state: Path) -> list[Path]:
    """All records, by name."""
    return sorted((state / VIDEOS).glob(f"*{SUFFIX}"))
