"""Writing the log of retraining: every method is one transaction, so that a killed run is found as it stood."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from streetvision.base.sqlite import migrate, transaction
from streetvision.retrain_log.reader import RetrainReader, connect, log_sentences
from streetvision.retrain_log.records import GateVerdict, RefusedData, RunRecord, RunState, Spending, StepName
from streetvision.retrain_log.schema import RETRAIN_SCHEMA, RUN_COLUMNS

OF_THE_RUN = ("baseline", "fingerprint", "version", "tracking_url")
"""Keys of a step's output that become fields of its run too; their values are texts."""


class RetrainStore(RetrainReader):
    """The log, to read and to write; methods raise OperatorError and then have changed nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with log_sentences(self.file):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.closing(connect(self.file, "rwc")) as db:
                migrate(db, RETRAIN_SCHEMA)

    def add(self, run: RunRecord) -> None:
        """A new run."""
        with self._transaction() as db:
            marks = ", ".join("?" * len(RUN_COLUMNS))
            values = [getattr(run, name) for name in RUN_COLUMNS]
            db.execute(f"INSERT INTO runs ({', '.join(RUN_COLUMNS)}) VALUES ({marks})", values)  # noqa: S608 - ours

    def reopen(self, run: str) -> None:
        """Go on with a run that was killed, stopped or failed."""
        with self._transaction() as db:
            db.execute(
                "UPDATE runs SET state = ?, ended = '', reason = '', remedy = '', stop_asked = '' WHERE id = ?",
                [RunState.RUNNING, run],
            )

    def begin_step(self, run: str, name: StepName, now: str) -> int:
        """Count an attempt and return which one it is; what gates decided in an earlier one is forgotten."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO steps (run, name, started, attempts) VALUES (?, ?, ?, 1) ON CONFLICT (run, name) DO "
                "UPDATE SET started = excluded.started, ended = '', attempts = attempts + 1, problem = ''",
                [run, name, now],
            )
            db.execute("DELETE FROM verdicts WHERE run = ? AND step = ?", [run, name])
            query = "SELECT attempts FROM steps WHERE run = ? AND name = ?"
            return int(db.execute(query, [run, name]).fetchone()[0])

    def finish_step(self, run: str, name: StepName, output: Mapping[str, Any], now: str) -> None:
        """The step is done and its output kept, with what of it belongs to the run (OF_THE_RUN)."""
        with self._transaction() as db:
            text = json.dumps(output, allow_nan=False)
            db.execute("UPDATE steps SET ended = ?, output = ? WHERE run = ? AND name = ?", [now, text, run, name])
            for key in OF_THE_RUN:
                if key in output:
                    db.execute(f"UPDATE runs SET {key} = ? WHERE id = ?", [str(output[key]), run])  # noqa: S608 - ours

    def end(self, run: RunRecord, step: StepName | None = None) -> None:
        """The run ended as `run` says, in `step` if one was not done; pictures that led nowhere are marked.

        An attempt that the operator stopped does not count.
        """
        with self._transaction() as db:
            db.execute(
                "UPDATE runs SET state = ?, ended = ?, reason = ?, remedy = ? WHERE id = ?",
                [run.state, run.ended, run.reason, run.remedy, run.id],
            )
            stopped = run.state is RunState.STOPPED
            db.execute(
                "UPDATE steps SET ended = ?, problem = ?, attempts = attempts - ? WHERE run = ? AND name = ?",
                [run.ended, run.reason, int(stopped), run.id, step],
            )
            if run.state in (RunState.REFUSED, RunState.ROLLED_BACK) and run.fingerprint:
                refused = RefusedData(run.fingerprint, run.version, run.id, run.reason, run.ended)
                db.execute("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?)", astuple(refused))

    def add_verdict(self, verdict: GateVerdict) -> None:
        """A gate decided; once for each gate and step, the last time counts."""
        values = (*astuple(verdict)[:-1], json.dumps(verdict.evidence, allow_nan=False))
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO verdicts (run, step, gate, passed, reason, time, evidence) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )

    def spend(self, run: str, step: StepName, cost: Spending, now: str) -> None:
        """Add to what the month and the run cost."""
        with self._transaction() as db:
            db.execute("INSERT INTO spending VALUES (?, ?, ?, ?, ?)", [run, step, now, cost.gpu_hours, cost.money])

    def pause(self, now: str, reason: str = "") -> None:
        """No runs from now on; one that is paused already stays so since then."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO pause VALUES (1, ?, ?)", [now, reason])

    def unpause(self) -> None:
        """Runs are wanted again."""
        with self._transaction() as db:
            db.execute("DELETE FROM pause")

    def note_next(self, time: str) -> None:
        """When the service begins the next run."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO schedule VALUES (1, ?)", [time])

    def ask_to_stop(self, run: str, now: str) -> None:
        """The run sees it within a second or two."""
        with self._transaction() as db:
            db.execute("UPDATE runs SET stop_asked = ? WHERE id = ?", [now, run])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with log_sentences(self.file), contextlib.closing(connect(self.file, "rw")) as db, transaction(db):
            yield db
