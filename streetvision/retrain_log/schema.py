"""The file `<state_dir>/retrain/retrain.sqlite`."""

from __future__ import annotations

from streetvision.base.sqlite import Schema

FOLDER = "retrain"
"""Name of retraining's folder in the state folder."""
DATABASE = "retrain.sqlite"
LOCK = "retraining"
"""Name of the lock that a run holds while a process works on it."""
SCHEDULE_LOCK = "schedule"
"""Name of the lock that the service holds which begins runs."""
RUN_COLUMNS = (
    *("id", "started", "trigger", "state", "ended", "reason", "remedy", "baseline", "fingerprint", "version"),
    "tracking_url",
)
"""As RunRecord's fields."""

_FIRST = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    started TEXT NOT NULL,
    trigger TEXT NOT NULL,
    state TEXT NOT NULL,
    ended TEXT NOT NULL,
    reason TEXT NOT NULL,
    remedy TEXT NOT NULL,
    baseline TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    version TEXT NOT NULL,
    tracking_url TEXT NOT NULL,
    stop_asked TEXT NOT NULL DEFAULT ''
);
CREATE TABLE steps (
    run TEXT NOT NULL REFERENCES runs (id),
    name TEXT NOT NULL,
    started TEXT NOT NULL,
    ended TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL,
    output TEXT,
    problem TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE verdicts (
    run TEXT NOT NULL REFERENCES runs (id),
    step TEXT NOT NULL,
    gate TEXT NOT NULL,
    passed INTEGER NOT NULL,
    reason TEXT NOT NULL,
    time TEXT NOT NULL,
    evidence TEXT NOT NULL,
    PRIMARY KEY (run, step, gate)
);
CREATE TABLE refused (
    fingerprint TEXT NOT NULL,
    version TEXT NOT NULL,
    run TEXT NOT NULL,
    reason TEXT NOT NULL,
    time TEXT NOT NULL,
    PRIMARY KEY (fingerprint, version)
) WITHOUT ROWID;
CREATE TABLE spending (
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    time TEXT NOT NULL,
    gpu_hours REAL NOT NULL,
    money REAL NOT NULL
);
CREATE TABLE pause (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    since TEXT NOT NULL,
    reason TEXT NOT NULL
)
"""
"""`runs.stop_asked` is the time at which the operator asked the run to stop. `steps.output` and `verdicts.evidence` are
JSON."""
_SCHEDULE = """
CREATE TABLE schedule (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    next TEXT NOT NULL
)
"""
"""When the service begins the next run; it says nothing once the service has ended."""

MIGRATIONS: tuple[str, ...] = (_FIRST, _SCHEDULE)
"""Scripts in order; the n-th lifts version n to n + 1. Only ever append: files in the field were made by these."""

RETRAIN_SCHEMA = Schema("the log of retraining", MIGRATIONS, "move that file away to start a new one")
