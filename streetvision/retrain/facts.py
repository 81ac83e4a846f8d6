"""The facts that a plan rests on, read from the log, the monitor's history and the packages that are here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from importlib.util import find_spec

from streetvision.base.steady_clock import kernel_synchronised
from streetvision.errors import OperatorError
from streetvision.retrain.planning import Facts, unfinished
from streetvision.retrain_log.reader import RetrainReader
from streetvision.settings.settings import Settings

NEEDED: tuple[str, ...] = ("lightning", "peft")
"""What the extra `retrain` brings and every run needs."""
TOLD_WITHIN_S = 6 * 3600.0
"""Age up to which the monitor's last look at the subnet counts."""
Check = Callable[[Settings], None]
"""Raises OperatorError for what would end every run: a recipe, a frozen set or a serving model that cannot be used."""
CountLabels = Callable[[Settings, RetrainReader], int]
"""Labelled pictures that no run has used yet; raises OperatorError where the datasets cannot be read."""


def gather(settings: Settings, log: RetrainReader, check: Check, *, now: str, alone: bool) -> Facts:
    """All but the labels; raises OperatorError when the log cannot be read. `alone`: we hold the lock of runs."""
    latest = log.latest_begun()
    return Facts(
        now=now,
        running=None if alone else log.process(),
        pause=log.paused(),
        unfinished=unfinished(latest, log.steps(latest.id)) if latest else None,
        missing=missing_package(),
        unfit=_unfit(settings, check),
        halt=halt_told(settings, datetime.fromisoformat(now).timestamp()),
        spent=log.spent(now[:7]),
    )


def missing_package() -> str:
    """A package that training needs and this environment lacks; empty where all are there."""
    return next((name for name in NEEDED if find_spec(name) is None), "")


def _unfit(settings: Settings, check: Check) -> str:
    if not settings.retrain.is_configured:
        return ""
    try:
        check(settings)
    except OperatorError as error:
        return str(error)
    return ""


def with_labels(facts: Facts, settings: Settings, log: RetrainReader, count_labels: CountLabels) -> Facts:
    """The facts with the new labels counted, where there is anything to learn from."""
    if not settings.retrain.learns:
        return facts
    try:
        return replace(facts, labels=count_labels(settings, log))
    except OperatorError as error:
        return replace(facts, labels_problem=str(error))


def halt_told(settings: Settings, now: float) -> str:
    """What shows that the subnet is halted, by the history of the miner here; empty where it does not know."""
    from streetvision.monitor.derived import halt_of, node_time_is_wrong
    from streetvision.monitor.history_database import FOLDER
    from streetvision.monitor.offline import observe_offline
    from streetvision.monitor.thresholds import THRESHOLDS
    from streetvision.status.files import last_hotkey

    folder = settings.state_dir / FOLDER
    hotkey = last_hotkey(folder, settings.netuid)
    if hotkey is None:
        return ""
    seen = observe_offline(
        folder, hotkey, settings.netuid, now, clocked=not settings.is_mock, synchronised=kernel_synchronised()
    )
    if seen.latest is None or now - seen.latest.time > TOLD_WITHIN_S or node_time_is_wrong(seen, THRESHOLDS):
        return ""
    halt = halt_of(seen, THRESHOLDS)
    return "" if halt is None else halt.evidence[0]
