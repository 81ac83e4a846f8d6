"""Statuses of fleets, made of the simulated miner's snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streetvision.base.start_steps import Starting
from streetvision.control.client import MinerStarting, NotRunning
from streetvision.errors import OperatorError
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.keeper import Kept
from streetvision.fleet.overview import fleet_status
from streetvision.fleet.schema import FleetStatus
from streetvision.status.schema import Span, Status

from ..status.worlds import status

FINDING = {
    "severity": "warning",
    "title": "the disk is nearly full",
    "remedy": "Run `df`.",
    "evidence": [],
    "code": "x",
}


def answering(folder: Path, span: Span) -> Status:
    """hot1 serves, hot2 is down, every other one starts."""
    if folder.name == "hot1":
        found = status(span=span)
        found["findings"] = [FINDING]
        return found
    if folder.name == "hot2":
        raise NotRunning("no miner runs")
    raise MinerStarting(folder, Starting("loading libraries", 90.0, 80.0, 1))


KEPT = {
    "hot1": Kept(pid=1, started=50.0, ready=60.0),
    "hot2": Kept(started=50.0, restarts=4, ended=95.0, why="killed by SIGKILL", next_try=103.0),
    "hot3": Kept(pid=1, started=80.0, restarts=1, ended=79.0, why="exit code 1"),
}


def fleet_of(fleet: Fleet, kept: dict[str, Kept] | None = None, **how: Any) -> FleetStatus:
    """Of three miners, 100 s into the epoch."""
    return fleet_status(fleet, KEPT if kept is None else kept, **{"asking": answering, "now": lambda: 100.0, **how})


def silent(folder: Path, span: Span) -> Status:
    """A miner that hangs."""
    raise OperatorError("the miner said nothing for 5 s")
