"""The log's tables, and how an older file becomes a current one: `PRAGMA user_version` counts the migrations done."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from streetvision.errors import OperatorError
from streetvision.prediction_log.row import LogRow

LOG_FOLDER = "log"
"""Name of the log's folder in the state folder."""

DATABASE = "predictions.sqlite"
"""File name inside the log's folder."""

COLUMNS = tuple(item.name for item in fields(LogRow) if item.name not in ("image", "embedding"))
"""Of `requests`, in the order in which rows are written and read; named as in LogRow."""

_FIRST = """
CREATE TABLE requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time REAL NOT NULL,
    validator TEXT NOT NULL,
    uid INTEGER,
    dialect TEXT NOT NULL,
    status INTEGER NOT NULL,
    reason TEXT NOT NULL,
    sha256 TEXT,
    size_bytes INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    model_version TEXT NOT NULL,
    probability REAL,
    logit REAL,
    views INTEGER NOT NULL,
    batch_size INTEGER NOT NULL,
    admission_s REAL NOT NULL,
    body_s REAL NOT NULL,
    decode_s REAL NOT NULL,
    queue_s REAL NOT NULL,
    inference_s REAL NOT NULL,
    reply_s REAL NOT NULL,
    headroom_s REAL
);
CREATE INDEX requests_time ON requests (time);
CREATE TABLE embeddings (
    request INTEGER PRIMARY KEY,
    vector BLOB NOT NULL
);
CREATE TABLE images (
    sha256 TEXT PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    state TEXT NOT NULL,
    certainty REAL NOT NULL,
    seen REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX images_eviction ON images (certainty, seen) WHERE state = 'stored';
CREATE INDEX images_age ON images (seen);
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID
"""
"""`embeddings.vector` is little-endian float16. `images.certainty` is |p - 0.5|, the least of its answers."""

OPEN, ENDS_KILLED = "open", "ends:killed"
"""Counters: 1 while a writer has the file open, and how often one ended without closing it."""

_SECOND = "ALTER TABLE requests ADD COLUMN decoded REAL"

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND)
"""Scripts in order; the n-th lifts version n to n + 1. Only ever append: files in the field were made by these."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One kind of database file."""

    name: str
    """As the operator knows it."""
    migrations: tuple[str, ...]
    remedy: str
    """For a file of a newer version, where the program cannot be upgraded."""


LOG_SCHEMA = Schema("the prediction log", MIGRATIONS, "move the log's folder away to start a new one")


class NewerSchema(OperatorError):
    """The file was written by a newer version of the program."""


def migrate(connection: sqlite3.Connection, schema: Schema) -> None:
    """Bring the file up to date, all or nothing; raises NewerSchema or sqlite3.Error.

    `connection` is in autocommit mode. The version is read inside the transaction: two processes may open at once.
    """
    check_version(connection, schema)
    newest = len(schema.migrations)
    if version_of(connection) == newest:
        return
    with transaction(connection):
        for script in schema.migrations[version_of(connection) :]:
            for statement in script.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {newest}")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All statements inside or none, on a connection in autocommit mode."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # on some errors SQLite has rolled back by itself
            connection.execute("ROLLBACK")
        raise


def is_in_place(file: Path, inode: int) -> bool:
    """Whether the file that was opened is still the one under its name; false after someone moved or deleted it."""
    try:
        return file.stat().st_ino == inode
    except FileNotFoundError:
        return False


def damaged_name(folder: Path, now: float) -> Path:
    """Where a damaged database goes; never over another one, whatever the clock says."""
    names = (f"damaged-{now:.0f}{number}.sqlite" for number in ("", *(f"-{n}" for n in range(2, 1000))))
    return folder / next(name for name in names if not (folder / name).exists())


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations the file has seen."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_version(connection: sqlite3.Connection, schema: Schema) -> None:
    """Raise NewerSchema when the file knows more migrations than this program."""
    version, newest = version_of(connection), len(schema.migrations)
    if version > newest:
        file = connection.execute("PRAGMA database_list").fetchone()[2]
        raise NewerSchema(
            f"{schema.name} {file} has schema {version}, this version reads up to {newest}: "
            f"upgrade streetvision, or {schema.remedy}"
        )
