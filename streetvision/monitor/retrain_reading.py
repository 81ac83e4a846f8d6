"""Reads how retraining stands from its log, in whatever state that is."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from streetvision.errors import OperatorError
from streetvision.monitor.retraining import RetrainView, RunView
from streetvision.retrain_log.reader import RetrainReader
from streetvision.retrain_log.records import (
    TRAFFIC,
    GateVerdict,
    RunRecord,
    RunState,
    StepName,
    StepRecord,
)
from streetvision.retrain_log.schema import FOLDER
from streetvision.settings.retrain import RetrainSettings

DECIDED = (RunState.PROMOTED, RunState.WAITING, RunState.REFUSED, RunState.ROLLED_BACK)
"""Ends of a run that came to its decision."""
MINERS_GATES = (StepName.SHADOW, StepName.CANARY)
"""Steps in which the running miner decides."""


def read_retraining(state_dir: Path, wanted: RetrainSettings, now: float) -> RetrainView | None:
    """What the log says; None where retraining is neither configured nor ever was used. Reads the disk."""
    log = RetrainReader(state_dir / FOLDER)
    if not wanted.is_configured and not log.file.is_file():
        return None
    try:
        return _view(log, wanted, now)
    except OperatorError as error:
        problem = str(error)
    except (ValueError, sqlite3.Error) as error:  # tables, states or times in no form that this version writes
        problem = f"the log of retraining {log.file} holds what this version cannot read ({error}): move it away"
    return RetrainView(wanted.is_configured, wanted.max_idle_days, problem=problem)


def _view(log: RetrainReader, wanted: RetrainSettings, now: float) -> RetrainView:
    working = log.process()
    newest, decided, pause = log.latest(), log.last_in(*DECIDED), log.paused()
    failed = newest is not None and newest.state is RunState.FAILED  # though perhaps it never began
    last = newest if failed else log.latest_begun()
    going = (working or log.process()) is not None  # one that began between both looks is no interrupted one
    spent = log.spent(f"{datetime.fromtimestamp(now, UTC):%Y-%m}")
    return RetrainView(
        configured=wanted.is_configured,
        max_idle_days=wanted.max_idle_days,
        last=None if last is None else _run(last, log.steps(last.id), log.verdicts(last.id), going=going),
        decided_at=None if decided is None else _unix(decided.ended),
        skipped=None if newest is None or newest == last else _run(newest, (), (), going=going),
        paused_since=None if pause is None else _unix(pause.since),
        pause_reason="" if pause is None else pause.reason,
        next_run=_unix(log.next_run()),
        month_gpu_hours=spent.gpu_hours,
        month_money=spent.money,
        counts={str(state): count for state, count in log.counts().items()},
    )


def _run(run: RunRecord, steps: Sequence[StepRecord], verdicts: Sequence[GateVerdict], *, going: bool) -> RunView:
    return RunView(
        id=run.id,
        state=run.shown_state(going=going),
        began=datetime.fromisoformat(run.started).timestamp(),
        ended=_unix(run.ended),
        step=next((str(step.name) for step in steps if not step.done), ""),
        reason=run.reason,
        remedy=run.remedy,
        version=run.version,
        gain=next((one.reason for one in verdicts if one.evidence.get("improved")), ""),
        differs=_differs(run, steps, verdicts),
        curves=run.tracking_url,
    )


def _differs(run: RunRecord, steps: Sequence[StepRecord], verdicts: Sequence[GateVerdict]) -> bool:
    """Our gate on traffic refused, or in shadow or canary the miner's own gates did."""
    if run.state not in (RunState.REFUSED, RunState.ROLLED_BACK):
        return False
    refused = next((one.gate for one in verdicts if not one.passed), None)
    return refused == TRAFFIC or any(step.name in MINERS_GATES and not step.done for step in steps)


def _unix(text: str) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
