"""A fleet's figures as an operator reads them: shared by the terminal and the page."""

from __future__ import annotations

from collections import Counter

from streetvision.base.wording import duration
from streetvision.fleet.schema import FleetStatus, MinerRow
from streetvision.status.wording import NOTHING

SEVERITIES = ("critical", "warning", "info")
"""The gravest first."""


def rank_words(row: MinerRow) -> str:
    """`9 of 248`; `no UID` for one that answers and has none."""
    if row["rank"] is not None:
        return f"{row['rank']} of {row['miners']}"
    return "no UID" if row["uid"] is None and row["up_since"] is not None else NOTHING


def emission_words(row: MinerRow) -> str:
    """`13.4`, in alpha a day."""
    return NOTHING if row["emission_per_day"] is None else f"{row['emission_per_day']:.4g}"


def findings_words(row: MinerRow) -> str:
    """`1 critical, 2 warning`; a dash for one that cannot be asked."""
    counts = Counter(finding["severity"] for finding in row["findings"])
    if counts:
        return ", ".join(f"{count} {severity}" for severity, count in counts.items())
    return "none" if row["up_since"] is not None else NOTHING


def why_words(row: MinerRow, now: float) -> str:
    """Why it does not serve, and when it is tried again; empty for one that serves."""
    if row["state"] != "down" or row["next_try"] is None:
        return row["why"]
    wait = row["next_try"] - now
    when = f"in {duration(wait)}" if wait >= 1 else "now"
    return f"{row['why']}; tried again {when}"


def shared_findings(found: FleetStatus) -> dict[tuple[str, str, str], list[str]]:
    """The names of the miners by severity, title and remedy, the gravest first: what several have shows once."""
    names: dict[tuple[str, str, str], list[str]] = {}
    for row in found["miners"]:
        for one in row["findings"]:
            names.setdefault((one["severity"], one["title"], one["remedy"]), []).append(row["name"])
    return dict(sorted(names.items(), key=lambda item: _gravity(item[0][0])))


def _gravity(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def keeper_words(status: FleetStatus) -> str:
    """Who starts a miner again."""
    if status["keeper"] is not None:
        return f"Kept by process {status['keeper']}"
    if any(row["unit"] for row in status["miners"]):
        return "Kept by systemd"
    return "No `fleet up` keeps these miners"
