"""A snapshot without a running miner: from the monitor's history and the prediction log in the state folder."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from streetvision import __version__
from streetvision.base.sqlite import check_version
from streetvision.errors import OperatorError
from streetvision.monitor.history_database import DATABASE, FOLDER, HISTORY_SCHEMA
from streetvision.monitor.offline import observe_offline
from streetvision.monitor.retrain_reading import read_retraining
from streetvision.monitor.rule_pass import rule_pass
from streetvision.monitor.thresholds import DAY
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.settings.settings import Settings
from streetvision.status.samples import remembered
from streetvision.status.schema import Span, Status
from streetvision.status.snapshot import Facts, status_of

MOST_LOGGED = 50_000
"""Requests read from the log: a week at five a minute, in half a second."""


def status_from_files(settings: Settings, now: float, span: Span) -> Status:
    """The snapshot that the state folder's last miner left; OperatorError when there is none, or it is unreadable."""
    folder = settings.state_dir / FOLDER
    hotkey = last_hotkey(folder, settings.netuid)
    if hotkey is None:
        raise OperatorError(
            f"nothing is remembered of netuid {settings.netuid} in {settings.state_dir}: start the miner first, "
            "or name its folder with --state_dir"
        )
    retrain = read_retraining(settings.state_dir, settings.retrain, now)
    seen = observe_offline(folder, hotkey, settings.netuid, now, clocked=not settings.is_mock, retrain=retrain)
    facts = Facts(__version__, settings.netuid, "", running=False)
    samples = remembered(settings.state_dir / LOG_FOLDER, now - span.counted_days * DAY, MOST_LOGGED)
    return status_of(facts, seen, rule_pass(seen), samples, span)


def last_hotkey(folder: Path, netuid: int) -> str | None:
    """The hotkey that was mined with most recently, so that no wallet is needed; None without a history."""
    file = folder / DATABASE
    if not file.is_file():
        return None
    query = "SELECT hotkey FROM points WHERE netuid = ? ORDER BY time DESC LIMIT 1"
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
            check_version(db, HISTORY_SCHEMA)
            row = db.execute(query, (netuid,)).fetchone()
    except sqlite3.Error as error:
        raise OperatorError(
            f"the monitor's history {file} cannot be read ({error}): check its permissions, or move it away"
        ) from error
    return None if row is None else str(row[0])
