"""A dataset's database: what was read from where, the pictures by digest, and what was unusable.

`occurrences` is what sources say (a picture may come from several), `pictures` what was found out about the bytes.
"""

from __future__ import annotations

from streetvision.base.sqlite import Schema
from streetvision.sources.source import HUMAN

DATABASE = "dataset.sqlite"
PICTURES = "pictures"

BELIEVED = f"""
(SELECT * FROM occurrences AS every WHERE labelled_by = '{HUMAN}' OR NOT EXISTS
    (SELECT 1 FROM occurrences WHERE sha256 = every.sha256 AND labelled_by = '{HUMAN}'))
"""  # noqa: S608 - our own word
"""What counts of what sources say: people's labels, and those of oracles and generators where no person spoke."""

DATASET_SCHEMA = Schema(
    name="the dataset",
    remedy="add its sources again under another name",
    migrations=(
        """
CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    last_key TEXT,
    complete INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE pictures (
    sha256 TEXT PRIMARY KEY,
    file TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    fingerprint INTEGER NOT NULL,
    cluster TEXT,
    split TEXT,
    left_out TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE occurrences (
    source INTEGER NOT NULL REFERENCES sources (id),
    key TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    label INTEGER NOT NULL,
    picture_group TEXT NOT NULL,
    licence TEXT NOT NULL,
    url TEXT NOT NULL,
    labelled_by TEXT NOT NULL,
    trust REAL NOT NULL,
    tags TEXT NOT NULL,
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX occurrences_by_digest ON occurrences (sha256);
CREATE TABLE unusable (
    source INTEGER NOT NULL REFERENCES sources (id),
    key TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE embeddings (
    sha256 TEXT NOT NULL,
    model TEXT NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (sha256, model)
) STRICT, WITHOUT ROWID
""",
    ),
)
"""`split` is NULL until the pictures were arranged; `left_out` says why one is in no split, else it is NULL."""
