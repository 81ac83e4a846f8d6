"""The record of variations: one database for all sets, since money is counted by the month and not by the set.

A row is committed before anything is asked for and settled afterwards. `outcome` is NULL until then: what a killed
process left so may have been paid, so it counts as spent and is not asked for again.
"""

from __future__ import annotations

from streetvision.base.sqlite import Schema

FOLDER, DATABASE = "synthetic", "synthesis.sqlite"
"""In the state folder; each set has a folder of its name beside the database."""
KEPT, DROPPED, DECLINED = "kept", "dropped", "declined"
"""Outcomes: in the set; made and not good enough; not made."""

SYNTHESIS_SCHEMA = Schema(
    name="the record of variations",
    remedy="move it away, which forgets what was spent",
    migrations=(
        """
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    made_for TEXT NOT NULL,
    parent TEXT NOT NULL,
    kind TEXT NOT NULL,
    seed INTEGER NOT NULL,
    back_end TEXT NOT NULL,
    remote INTEGER NOT NULL,
    prompt TEXT NOT NULL,
    begun TEXT NOT NULL,
    price REAL NOT NULL,
    outcome TEXT,
    reason TEXT NOT NULL DEFAULT '',
    file TEXT,
    fingerprint INTEGER,
    label INTEGER,
    trust REAL,
    picture_group TEXT,
    licence TEXT,
    UNIQUE (made_for, parent, kind, seed, back_end)
) STRICT;
CREATE INDEX attempts_by_time ON attempts (begun);
CREATE TABLE ablations (
    made_for TEXT NOT NULL,
    judged TEXT NOT NULL,
    found TEXT NOT NULL
) STRICT
""",
    ),
)
"""`price` is what the attempt cost or may have cost; `found` is the ablation as JSON."""
