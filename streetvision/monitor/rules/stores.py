"""A store that must never stop the miner cannot be written."""

from __future__ import annotations

from streetvision.base.sqlite_trouble import CAUSES
from streetvision.base.wording import plural
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation, StoreView
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import Thresholds


def log_degraded(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The prediction log cannot be written."""
    return _store("log_degraded", "the prediction log", seen.log)


def history_degraded(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The monitor's own history cannot be written."""
    return _store("history_degraded", "the monitor's history", seen.history)


def _store(code: str, name: str, store: StoreView | None) -> list[Finding]:
    if store is None or store.degraded is None:
        return []
    return [
        Finding(
            code=code,
            severity=Severity.WARNING,
            title=f"{name} cannot be written ({store.degraded})",
            evidence=(f"{plural(store.lost, 'row')} lost since the miner started; requests are served all the same.",),
            remedy=f"{name[0].upper()}{name[1:]}: {CAUSES[store.degraded]}.",
            data={"cause": store.degraded, "lost": store.lost},
        )
    ]


_LOG = Need("no prediction log is kept", lambda seen, _: seen.log is not None)
_HISTORY = Need("no running miner", lambda seen, _: seen.history is not None)

RULES = (
    Rule(
        code="log_degraded",
        order=1130,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="The prediction log cannot be written",
        remedy="The finding names the cause: disk, permissions, another process",
        judge=log_degraded,
        needs=(_LOG,),
        check="log",
    ),
    Rule(
        code="history_degraded",
        order=1140,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="The monitor's own history cannot be written",
        remedy="The finding names the cause: disk, permissions, another process",
        judge=history_degraded,
        needs=(_HISTORY,),
        check="history",
    ),
)
