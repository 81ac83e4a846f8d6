"""Reading the log of retraining, for any process: the runs, their steps, verdicts, costs."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from streetvision.base.sqlite import migrate, version_of
from streetvision.base.sqlite_trouble import database_sentences
from streetvision.base.state_folder import lock_holder
from streetvision.retrain_log.records import (
    GateVerdict,
    Pause,
    RefusedData,
    RunRecord,
    RunState,
    Spending,
    StepName,
    StepRecord,
)
from streetvision.retrain_log.schema import DATABASE, LOCK, RETRAIN_SCHEMA, RUN_COLUMNS, SCHEDULE_LOCK

TIMEOUT_S = 10.0
"""Longest wait for another process that writes."""
_REMEDIES = {
    "disk_full": "the disk is full: free some space",
    "read_only": "this user may not write it: run the command as the user of the miner, or correct its owner or mount",
    "locked": "another process holds it: let that one finish",
    "corrupt": "it is damaged: move it away to start a new one",
}
NOTED = (RunState.NOTHING_TO_DO, RunState.FAILED)
"""States in which a schedule notes a run that it did not begin."""
_RUNS = f"SELECT {', '.join(RUN_COLUMNS)} FROM runs"  # noqa: S608 - our own names
_ORDER = {name: place for place, name in enumerate(StepName)}

Row = tuple[Any, ...]


def log_sentences(file: Path) -> AbstractContextManager[None]:
    """Turn a failure of the database or the disk into one sentence."""
    return database_sentences("the log of retraining", file, _REMEDIES)


class RetrainReader:
    """The log in a folder; methods raise OperatorError. A file that is not there yet reads as an empty one.

    Runs are in the order in which they were added, whatever the clock said then.

    Every call opens the file anew: it is used a few times a minute at most, by any thread.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / DATABASE

    def runs(self, limit: int = 100) -> tuple[RunRecord, ...]:
        """The newest runs, the last one first."""
        return tuple(_run(row) for row in self._all(f"{_RUNS} ORDER BY rowid DESC LIMIT ?", limit))

    def latest(self) -> RunRecord | None:
        """The run that began last."""
        return next(iter(self.runs(1)), None)

    def latest_begun(self) -> RunRecord | None:
        """The last one that began a step or is about to; not those that a schedule noted and never began."""
        begun = "state NOT IN (?, ?) OR EXISTS (SELECT 1 FROM steps WHERE steps.run = runs.id)"
        query = f"{_RUNS} WHERE {begun} ORDER BY rowid DESC LIMIT 1"
        return next((_run(row) for row in self._all(query, *NOTED)), None)

    def runs_that_did(self, step: StepName, limit: int) -> tuple[RunRecord, ...]:
        """The newest runs in which this step is done, the last one first."""
        done = "EXISTS (SELECT 1 FROM steps WHERE steps.run = runs.id AND name = ? AND output IS NOT NULL)"
        query = f"{_RUNS} WHERE {done} ORDER BY rowid DESC LIMIT ?"
        return tuple(_run(row) for row in self._all(query, step, limit))

    def run(self, id: str) -> RunRecord | None:
        """The run of that name."""
        return next((_run(row) for row in self._all(f"{_RUNS} WHERE id = ?", id)), None)

    def last_in(self, *states: RunState) -> RunRecord | None:
        """The newest run in one of these states."""
        marks = ", ".join("?" * len(states))
        query = f"{_RUNS} WHERE state IN ({marks}) ORDER BY rowid DESC LIMIT 1"
        return next((_run(row) for row in self._all(query, *states)), None)

    def counts(self) -> dict[RunState, int]:
        """How many runs stand or ended in each state; all states are there."""
        rows = self._all("SELECT state, count(*) FROM runs GROUP BY state")
        return dict.fromkeys(RunState, 0) | {RunState(state): count for state, count in rows}

    def steps(self, run: str) -> tuple[StepRecord, ...]:
        """The steps that a run began, in their order."""
        query = "SELECT run, name, started, ended, attempts, output, problem FROM steps WHERE run = ?"
        return tuple(sorted((_step(row) for row in self._all(query, run)), key=lambda step: _ORDER[step.name]))

    def outputs(self, run: str) -> dict[StepName, Mapping[str, Any]]:
        """What those steps of a run gave that are done, in their order."""
        return {step.name: step.output for step in self.steps(run) if step.output is not None}

    def verdicts(self, run: str) -> tuple[GateVerdict, ...]:
        """The decisions of a run's gates, in the order in which they fell."""
        query = "SELECT run, step, gate, passed, reason, time, evidence FROM verdicts WHERE run = ? ORDER BY rowid"
        return tuple(
            GateVerdict(run, StepName(step), gate, bool(passed), reason, time, json.loads(evidence))
            for run, step, gate, passed, reason, time, evidence in self._all(query, run)
        )

    def refused(self, fingerprint: str) -> RefusedData | None:
        """Why a model of these pictures was refused or rolled back; None where it was not."""
        query = "SELECT fingerprint, version, run, reason, time FROM refused WHERE fingerprint = ? ORDER BY time DESC"
        return next((RefusedData(*row) for row in self._all(query, fingerprint)), None)

    def spent(self, month: str = "", *, run: str = "") -> Spending:
        """What was spent in a month such as `2026-11`, by a run, or in all."""
        query = (
            "SELECT coalesce(sum(gpu_hours), 0), coalesce(sum(money), 0) FROM spending "
            "WHERE time LIKE ? AND (run = ? OR ? = '')"
        )
        return next((Spending(*row) for row in self._all(query, f"{month}%", run, run)), Spending())

    def paused(self) -> Pause | None:
        """Since when the operator wants no runs; None where they are wanted."""
        return next((Pause(*row) for row in self._all("SELECT since, reason FROM pause")), None)

    def stop_asked(self, run: str) -> bool:
        """Whether the operator asked this run to stop."""
        return any(asked for (asked,) in self._all("SELECT stop_asked FROM runs WHERE id = ?", run))

    def process(self) -> int | None:
        """The process that works on a run now; without one, a run that stands as running was interrupted."""
        return lock_holder(self.folder / f"{LOCK}.lock")

    def next_run(self) -> str:
        """When the service begins the next run, before jitter; empty where no service runs."""
        if lock_holder(self.folder / f"{SCHEDULE_LOCK}.lock") is None:
            return ""
        return next((str(time) for (time,) in self._all("SELECT next FROM schedule")), "")

    def _all(self, query: str, *values: object) -> list[Row]:
        with self._open() as db:
            return [] if db is None else db.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection | None]:
        """Not read-only: whoever comes first after a crash or an update mends or lifts the file."""
        with log_sentences(self.file):
            if not self.file.is_file():
                yield None
                return
            with contextlib.closing(connect(self.file, "rw")) as db:
                begun = version_of(db) > 0
                if begun:
                    migrate(db, RETRAIN_SCHEMA)
                yield db if begun else None


def connect(file: Path, mode: str) -> sqlite3.Connection:
    """Open the file in a mode of SQLite's addresses (`rw`, `rwc`), in autocommit mode."""
    address = f"{file.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=TIMEOUT_S, isolation_level=None)


def _run(row: Row) -> RunRecord:
    values = dict(zip(RUN_COLUMNS, row, strict=True))
    return RunRecord(**values | {"state": RunState(values["state"])})


def _step(row: Row) -> StepRecord:
    run, name, started, ended, attempts, output, problem = row
    return StepRecord(
        run, StepName(name), started, ended, attempts, None if output is None else json.loads(output), problem
    )
