"""The miner does not stay up."""

from __future__ import annotations

from streetvision.base.wording import moment, plural
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import Thresholds

SHOWN = 5
"""Crashes that are named, the newest."""


def crash_loop(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The miner crashed again and again before it was started this time."""
    crashes = [crash for crash in seen.crashes if seen.now - crash.at <= limits.crash_window_s]
    if len(crashes) < limits.crashes:
        return []
    return [
        Finding(
            code="crash_loop",
            severity=Severity.CRITICAL,
            title=f"{plural(len(crashes), 'start')} in a row ended in a crash",
            evidence=tuple(f"Started {moment(crash.at)}: {crash.why}." for crash in crashes[-SHOWN:]),
            remedy="Read the end of the log before each start, dmesg for Xid and out-of-memory lines, and run "
            "streetvision doctor. A stop and a start by hand skip the pause before the next try.",
            since=crashes[0].at,
            data={"crashes": len(crashes)},
        )
    ]


RULES = (
    Rule(
        code="crash_loop",
        order=210,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="Three starts or more within two hours ended in a crash, with no clean stop since",
        remedy="The finding names times and reasons: the log, `dmesg`, the doctor",
        judge=crash_loop,
        check="miner",
        at_once=True,
    ),
)
