"""SQLite files: how an older one becomes a current one (`PRAGMA user_version` counts the migrations done)."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streetvision.errors import OperatorError


@dataclass(frozen=True, slots=True)
class Schema:
    """One kind of database file."""

    name: str
    """As the operator knows it."""
    migrations: tuple[str, ...]
    remedy: str
    """For a file of a newer version, where the program cannot be upgraded."""


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
