"""Figures over many rows: grouped in SQL where that is quick, percentiles in numpy."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streetvision.prediction_log.schema import ENDS_KILLED

STAGES = ("admission", "body", "decode", "queue", "inference", "reply")
SCORE_BINS = 20


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of one duration, in seconds."""

    p1: float
    p10: float
    p50: float
    p90: float
    p99: float
    highest: float


@dataclass(frozen=True, slots=True)
class LogStats:
    """What `streetvision log stats` shows. The last five are of the whole log, whatever the filter."""

    rows: int
    answered: int
    first: float | None
    """Unix seconds of the earliest row."""
    last: float | None
    by_status: Mapping[int, int]
    by_reason: Mapping[str, int]
    by_validator: Mapping[str, int]
    """Hotkey to rows."""
    by_model: Mapping[str, int]
    """Model version to answered rows."""
    scores: tuple[int, ...]
    """Answers in each of SCORE_BINS equal bins of [0, 1]."""
    latency: Mapping[str, Percentiles]
    """By stage and 'total', over answered rows; empty when there are none."""
    headroom: Percentiles | None
    """Seconds to spare before the deadline, over answered rows; the low percentiles matter."""
    images: int
    """Image files that are there."""
    image_bytes: int
    dropped_rows: Mapping[str, int]
    """By cause, since the log began."""
    dropped_images: Mapping[str, int]
    ends_killed: int
    """How often the miner ended without closing the log: each time the last moment's rows may be missing."""


def stats_of(connection: sqlite3.Connection, table: str, where: str, values: list[Any]) -> LogStats:
    """Read everything in one transaction, so that the figures agree; raises sqlite3.Error."""
    connection.execute("BEGIN")
    try:
        return _read(connection, f"FROM {table} WHERE {where}", values)
    finally:
        connection.execute("COMMIT")


def _read(connection: sqlite3.Connection, source: str, values: list[Any]) -> LogStats:
    first, last = connection.execute(f"SELECT min(r.time), max(r.time) {source}", values).fetchone()
    groups = connection.execute(
        f"SELECT r.status, r.reason, r.validator, r.model_version, count(*) {source} GROUP BY 1, 2, 3, 4", values
    ).fetchall()
    probability, headroom, stages = _answers(connection, source, values)
    images, image_bytes = connection.execute(
        "SELECT count(*), coalesce(sum(size_bytes), 0) FROM images WHERE state = 'stored'"
    ).fetchone()
    counters = dict(connection.execute("SELECT name, value FROM counters").fetchall())
    return LogStats(
        rows=sum(group[-1] for group in groups),
        answered=len(probability),
        first=first,
        last=last,
        by_status=_by(groups, 0),
        by_reason=_by(groups, 1),
        by_validator=_by(groups, 2),
        by_model=_by([group for group in groups if group[3]], 3),
        scores=tuple(int(n) for n in np.histogram(probability, SCORE_BINS, (0.0, 1.0))[0]),
        latency=_latencies(stages) if len(probability) else {},
        headroom=percentiles(headroom) if len(headroom) else None,
        images=images,
        image_bytes=image_bytes,
        dropped_rows=_counters(counters, "rows"),
        dropped_images=_counters(counters, "images"),
        ends_killed=counters.get(ENDS_KILLED, 0),
    )


def _answers(
    connection: sqlite3.Connection, source: str, values: list[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities [N], headrooms [at most N] and seconds by stage [N, 6] of the answered rows."""
    columns = ", ".join(f"r.{stage}_s" for stage in STAGES)
    found = connection.execute(
        f"SELECT r.probability, r.headroom_s, {columns} {source} AND r.probability IS NOT NULL", values
    ).fetchall()
    table = np.array(found, np.float64).reshape(-1, 2 + len(STAGES))
    headroom = table[:, 1]
    return table[:, 0], headroom[~np.isnan(headroom)], table[:, 2:]


def _latencies(stages: NDArray[np.float64]) -> dict[str, Percentiles]:
    named = {stage: percentiles(stages[:, i]) for i, stage in enumerate(STAGES)}
    return named | {"total": percentiles(stages.sum(axis=1))}


def percentiles(values: NDArray[np.float64]) -> Percentiles:
    """Of at least one value."""
    return Percentiles(*(float(v) for v in np.percentile(values, [1, 10, 50, 90, 99, 100])))


def _by(groups: list[tuple[Any, ...]], column: int) -> dict[Any, int]:
    """Counts of one column's values, most frequent first."""
    counts: Counter[Any] = Counter()
    for group in groups:
        counts[group[column]] += group[-1]
    return dict(counts.most_common())


def _counters(counters: dict[str, int], kind: str) -> dict[str, int]:
    return {name.partition(":")[2]: n for name, n in counters.items() if name.startswith(f"{kind}:")}
