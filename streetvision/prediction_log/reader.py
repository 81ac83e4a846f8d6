"""Reading the log, beside a running miner or without one."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from streetvision.base.sqlite import check_version, is_in_place, version_of
from streetvision.errors import OperatorError
from streetvision.prediction_log.images import ImageStore
from streetvision.prediction_log.row import LogFilter, LogRow
from streetvision.prediction_log.schema import COLUMNS, DATABASE, LOG_SCHEMA
from streetvision.prediction_log.stats import LogStats, stats_of

_STATE = """CASE WHEN r.sha256 IS NOT NULL THEN coalesce(i.state, 'evicted')
    WHEN r.size_bytes > 0 THEN 'dropped' ELSE 'none' END"""
"""An image without a digest was dropped before it was hashed."""
_PAGE = 1000
"""Rows fetched at once: no read stays open for long, so that the writer can fold its log into the file."""
_CONDITIONS: dict[str, str] = {
    "since": "r.time >= ?",
    "until": "r.time < ?",
    "validator": "r.validator = ?",
    "uid": "r.uid = ?",
    "model": "r.model_version = ?",
    "min_score": "r.probability >= ?",
    "max_score": "r.probability <= ?",
    "status": "r.status = ?",
    "answered": "(r.probability IS NOT NULL) = ?",
    "stored": "coalesce(i.state = 'stored', 0) = ?",
}
_JOIN = "requests AS r LEFT JOIN images AS i ON i.sha256 = r.sha256"
Result = TypeVar("Result")


class LogReader:
    """The log in `folder`, read-only; every method raises OperatorError when the files cannot be read.

    Use one reader per thread. Each page of rows is as new as the last commit before it.
    """

    def __init__(self, folder: Path) -> None:
        self._images = ImageStore(folder / "images")
        self._file = folder / DATABASE
        if not self._file.is_file():
            raise OperatorError(
                f"there is no prediction log in {folder}: start the miner with --log.enabled, or name its --state_dir"
            )
        self._inode = self._file.stat().st_ino
        self._db = self._ask(lambda: _open(self._file))
        with contextlib.ExitStack() as undo:
            undo.callback(self._db.close)
            self._ask(lambda: _check(self._db, self._file))
            self._select = self._ask(lambda: _selection(self._db))
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def in_place(self) -> bool:
        """Whether the open file is still the one under its name; false after it was set aside or deleted."""
        return is_in_place(self._file, self._inode)

    def rows(
        self,
        filter: LogFilter = LogFilter(),  # noqa: B008 - immutable
        *,
        after_id: int = 0,
        limit: int | None = None,
        newest_first: bool = False,
        embeddings: bool = False,
    ) -> Iterator[LogRow]:
        """Rows with id above `after_id` in the order of ids, or in the reverse; at most `limit`."""
        where, values = _where(filter)
        bound = 2**63 - 1 if newest_first else after_id
        left = limit
        while left is None or left > 0:
            page = _PAGE if left is None else min(left, _PAGE)
            rows = self._page(where, values, (after_id, bound), page, newest_first=newest_first, embeddings=embeddings)
            yield from rows
            if len(rows) < page:
                return
            bound = rows[-1].id
            left = None if left is None else left - len(rows)

    def _page(
        self,
        where: str,
        values: list[Any],
        bounds: tuple[int, int],
        limit: int,
        *,
        newest_first: bool,
        embeddings: bool,
    ) -> list[LogRow]:
        after, bound = bounds
        edge = "r.id > ? AND r.id < ?" if newest_first else "r.id > max(?, ?)"
        vector, join = ("e.vector", " LEFT JOIN embeddings AS e ON e.request = r.id") if embeddings else ("NULL", "")
        query = (
            f"SELECT {self._select}, {_STATE}, {vector} FROM {_JOIN}{join} WHERE {where} AND {edge} "  # noqa: S608 - ours
            f"ORDER BY r.id {'DESC' if newest_first else 'ASC'} LIMIT ?"
        )
        return [_row(found) for found in self._all(query, [*values, after, bound, limit])]

    def row(self, id: int) -> LogRow | None:
        """One row with its embedding; None when there is none of that id (any more)."""
        return next(iter(self._page("r.id = ?", [id], (0, 0), 1, newest_first=False, embeddings=True)), None)

    def count(self, filter: LogFilter = LogFilter()) -> int:  # noqa: B008 - immutable
        """How many rows `rows` would give."""
        where, values = _where(filter)
        return int(self._all(f"SELECT count(*) FROM {_table(filter)} WHERE {where}", values)[0][0])  # noqa: S608 - ours

    def stats(self, filter: LogFilter = LogFilter()) -> LogStats:  # noqa: B008 - immutable
        """Counts, scores, latencies and what was dropped."""
        where, values = _where(filter)
        return self._ask(lambda: stats_of(self._db, _table(filter), where, values))

    def span(self, filter: LogFilter = LogFilter()) -> tuple[float, float] | None:  # noqa: B008 - immutable
        """When the first and the last of the rows came, Unix seconds; None when there are none."""
        where, values = _where(filter)
        query = f"SELECT min(r.time), max(r.time) FROM {_table(filter)} WHERE {where}"  # noqa: S608 - ours
        first, last = self._all(query, values)[0]
        return None if first is None else (float(first), float(last))

    def counts(self, origin: float, width: float, filter: LogFilter = LogFilter()) -> dict[int, int]:  # noqa: B008
        """Rows in each span of `width` seconds from `origin` (Unix seconds) on, by its number; without empty ones."""
        where, values = _where(filter)
        rows = f"FROM {_table(filter)} WHERE {where}"
        query = f"SELECT CAST((r.time - ?) / ? AS INTEGER), count(*) {rows} GROUP BY 1"
        return {int(place): int(count) for place, count in self._all(query, [origin, width, *values])}

    def model_seconds(self, filter: LogFilter = LogFilter()) -> tuple[int, float]:  # noqa: B008 - immutable
        """Answers, and the seconds that the model took for all of them: of a batch, each has an equal share."""
        where, values = _where(filter)
        answered = f"FROM {_table(filter)} WHERE {where} AND r.probability IS NOT NULL AND r.batch_size > 0"
        query = f"SELECT count(*), coalesce(sum(r.inference_s / r.batch_size), 0) {answered}"
        count, seconds = self._all(query, values)[0]
        return int(count), float(seconds)

    def image_path(self, sha256: str) -> Path | None:
        """The image file, if it is there."""
        path = self._images.path(sha256)
        return path if sha256 and path.is_file() else None

    def last_id(self) -> int:
        """The id of the newest row; 0 when there is none."""
        return int(self._all("SELECT coalesce(max(id), 0) FROM requests", [])[0][0])

    def _all(self, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
        return self._ask(lambda: self._db.execute(query, values).fetchall())

    def _ask(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except sqlite3.Error as error:
            raise OperatorError(
                f"the prediction log {self._file} cannot be read ({error}): check its permissions and the disk"
            ) from error


def _open(file: Path) -> sqlite3.Connection:
    """Read-only; a log on a read-only disk, closed in order, has no write-ahead log and is read as it stands."""
    address = file.absolute().as_uri()
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True, timeout=5.0, isolation_level=None)
    try:
        version_of(connection)
    except sqlite3.Error as error:
        connection.close()
        if not isinstance(error, sqlite3.OperationalError) or file.with_name(f"{DATABASE}-wal").exists():
            raise
        connection = sqlite3.connect(f"{address}?immutable=1", uri=True, isolation_level=None)
    return connection


def _check(connection: sqlite3.Connection, file: Path) -> None:
    check_version(connection, LOG_SCHEMA)
    if version_of(connection) == 0:
        raise OperatorError(
            f"the prediction log {file} is empty: wait until the miner has opened it, or start the miner"
        )


def _selection(connection: sqlite3.Connection) -> str:
    """The columns of a row; NULL for those that the next start of the miner will add to an older file."""
    there = {name for _, name, *_ in connection.execute("PRAGMA table_info(requests)")}
    special = {"sha256": "coalesce(r.sha256, '')"} | {name: "NULL" for name in COLUMNS if name not in there}
    return ", ".join(special.get(name, f"r.{name}") for name in COLUMNS)


def _table(filter: LogFilter) -> str:
    """Images are joined only where a condition is about them."""
    return _JOIN if filter.stored is not None else "requests AS r"


def _where(filter: LogFilter) -> tuple[str, list[Any]]:
    chosen = {name: getattr(filter, name) for name in _CONDITIONS}
    used = {name: value for name, value in chosen.items() if value is not None}
    return " AND ".join(_CONDITIONS[name] for name in used) or "1", list(used.values())


def _row(found: tuple[Any, ...]) -> LogRow:
    vector = None if found[-1] is None else np.frombuffer(found[-1], "<f2")
    return LogRow(*(*found[:-1], vector))


INTERVAL_S = 0.5


def follow(
    reader: LogReader,
    choice: LogFilter,
    *,
    after_id: int,
    sleep: Callable[[float], None],
    reopen: Callable[[], LogReader],
    interval: float = INTERVAL_S,
) -> Generator[LogRow, None, None]:
    """Yield rows above `after_id` for ever, asking again every `interval` seconds; raises OperatorError.

    When the file gave way to another (the miner sets a damaged one aside), `reopen` gives the reader of that one, or
    raises OperatorError while it is not there yet; its rows come from the first. It closes the reader at the end.
    """
    try:
        while True:
            newest = reader.last_id()
            for row in reader.rows(choice, after_id=after_id):
                newest = max(newest, row.id)
                yield row
            after_id = max(after_id, newest)
            sleep(interval)
            if not reader.in_place:
                try:
                    fresh = reopen()
                except OperatorError:
                    continue
                reader.close()
                reader, after_id = fresh, 0
    finally:
        reader.close()
