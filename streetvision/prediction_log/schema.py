"""The prediction log's tables."""

from __future__ import annotations

from dataclasses import fields

from streetvision.base.sqlite import Schema
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

_THIRD = """
ALTER TABLE requests ADD COLUMN first_probability REAL;
ALTER TABLE requests ADD COLUMN second_probability REAL;
ALTER TABLE requests ADD COLUMN router TEXT
"""

_FOURTH = "ALTER TABLE requests ADD COLUMN served_by TEXT"

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND, _THIRD, _FOURTH)
"""Scripts in order; the n-th lifts version n to n + 1. Only ever append: files in the field were made by these."""

LOG_SCHEMA = Schema("the prediction log", MIGRATIONS, "move the log's folder away to start a new one")
