"""The doctor over a fleet: what concerns all, then each miner's own report."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streetvision.base.wording import plural
from streetvision.doctor.check import Check, Mark, Report, ok, warning
from streetvision.doctor.examination import Tools, examine
from streetvision.doctor.redaction import scrubber
from streetvision.fleet.asking import keeper_of
from streetvision.fleet.fleet_file import Fleet, ignored_variables
from streetvision.fleet.member import Member
from streetvision.fleet.preflight import large_logs
from streetvision.fleet.units import unit_of

AT_ONCE = 3
"""Reports made side by side: each asks the chain and reads the disk."""


@dataclass(frozen=True)
class FleetReport:
    """What concerns all miners, and the report of each."""

    checks: tuple[Check, ...]
    miners: Mapping[str, Report]

    @property
    def failed(self) -> bool:
        """Whether anything must be put right."""
        return any(c.mark is Mark.FAILURE for c in self.checks) or any(one.failed for one in self.miners.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "ok": not self.failed,
            "checks": [check.as_dict() for check in self.checks],
            "miners": {name: report.as_dict() for name, report in self.miners.items()},
        }

    def in_common(self) -> tuple[Check, ...]:
        """Checks that say the same of every miner: the machine's."""
        first, *others = self.miners.values()
        return tuple(check for check in first.checks if all(check in report.checks for report in others))

    def own_troubles(self, name: str) -> tuple[Check, ...]:
        """What is wrong with this miner and not with all."""
        common = self.in_common()
        wrong = (Mark.FAILURE, Mark.WARNING)
        return tuple(check for check in self.miners[name].checks if check.mark in wrong and check not in common)


async def examine_fleet(fleet: Fleet, members: Sequence[Member], tools: Tools | None = None) -> FleetReport:
    """Examine these miners of the fleet; takes a minute and a half for every AT_ONCE of them at most."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(member: Member) -> Report:
        async with turns:
            report = await examine(member.settings, fleet.file, [], tools or Tools())
        return report.without_secrets(scrubber(member.settings, os.environ))

    reports = await asyncio.gather(*(one(member) for member in members))
    names = [member.name for member in members]
    return FleetReport(tuple(fleet_checks(fleet)), dict(zip(names, reports, strict=True)))


def fleet_checks(fleet: Fleet, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """What no single miner's report can say."""
    checks = [ok("fleet", f"{fleet.file}: {plural(len(fleet.members), 'miner')}, no two of them in conflict")]
    keeper = keeper_of(fleet)
    if keeper is None:
        checks.append(warning("keeper", "no `fleet up` keeps these miners", "streetvision fleet up"))
    else:
        unit = unit_of(keeper)
        checks.append(ok("keeper", f"process {keeper}" + (f" of {unit}" if unit else "")))
    if words := large_logs(fleet):
        checks.append(warning("logs", words, f"Set log.max_gib in [shared] of {fleet.file}."))
    if ignored := ignored_variables(environ):
        checks.append(warning("environment", f"{', '.join(ignored)} ignored", "Set them in the fleet's file."))
    return checks
