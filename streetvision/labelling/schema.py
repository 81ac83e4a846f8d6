"""The oracle's database: every question that was paid or may have been, what it cost, and the pictures asked about."""

from __future__ import annotations

from enum import StrEnum

from streetvision.base.sqlite import Schema

FOLDER = "labelling"
"""In the state folder."""
DATABASE = "labelling.sqlite"
WORK = "labelling"
"""The lock: one process at a time asks."""


class State(StrEnum):
    """How a question stands."""

    OPEN = "open"
    """It goes out, and counts as spent until more is known."""
    ANSWERED = "answered"
    UNUSABLE = "unusable"
    """Paid, and the answer is none."""
    LOST = "lost"
    """It went out, and nobody knows what became of it: counts as spent, and is not asked again by itself."""


LABELLING_SCHEMA = Schema(
    name="the oracle's database",
    remedy="move it away, and lose the answers that were paid",
    migrations=(
        """
CREATE TABLE questions (
    id INTEGER PRIMARY KEY,
    picture TEXT NOT NULL,
    asker TEXT NOT NULL,
    view INTEGER NOT NULL,
    sent TEXT NOT NULL,
    state TEXT NOT NULL,
    superseded INTEGER NOT NULL DEFAULT 0,
    tokens INTEGER NOT NULL,
    money REAL NOT NULL,
    roadwork INTEGER,
    certainty REAL,
    objects TEXT NOT NULL DEFAULT '[]',
    remark TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX paid_once ON questions (asker, picture, view) WHERE superseded = 0;
CREATE INDEX questions_open ON questions (state) WHERE state = 'open';
CREATE TABLE spending (
    day TEXT PRIMARY KEY,
    tokens INTEGER NOT NULL,
    money REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pictures (
    sha256 TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    source TEXT NOT NULL,
    place TEXT NOT NULL,
    probability REAL,
    human INTEGER
) STRICT, WITHOUT ROWID
""",
    ),
)
"""`paid_once` is the promise that no question is paid twice. `tokens` and `money` are what was set aside for a question
until its answer says what it took; `spending` adds them up by the day (UTC) on which they went out."""
