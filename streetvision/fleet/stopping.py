"""Stopping a fleet from another terminal: its keeper first, then whatever an earlier keeper has left running."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from streetvision.errors import OperatorError
from streetvision.fleet.asking import keeper_of
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.running import holder
from streetvision.fleet.units import unit_of

MINER_S = 20.0
"""A miner ends within 15 s of SIGTERM."""
KEEPER_S = 60.0
"""It waits for its miners, kills those that hang, and waits for alerts under way."""
LOOK_S = 0.1


def stop_fleet(fleet: Fleet, say: Callable[[str], None]) -> list[str]:
    """Stop everything of it that runs; names of what was stopped. OperatorError for what systemd keeps, or hangs."""
    stopped: list[str] = []
    jobs: list[tuple[str, Callable[[], int | None], float]] = [("the fleet", lambda: keeper_of(fleet), KEEPER_S)]
    jobs += [(m.name, lambda m=m: holder(m), MINER_S) for m in fleet.members]  # type: ignore[misc]  # bound at once
    for name, find, patience_s in jobs:
        if (pid := find()) is None:
            continue
        _refuse_unit(name, pid)
        say(f"{name}: stopping process {pid}")
        _end(name, pid, find, patience_s)
        stopped.append(name)
    return stopped


def _refuse_unit(name: str, pid: int) -> None:
    """systemd would start again at once what was stopped behind its back."""
    if (unit := unit_of(pid)) is not None:
        raise OperatorError(f"systemd keeps {name}: stop it with `systemctl stop {unit.removesuffix('.service')}`")


def _end(name: str, pid: int, find: Callable[[], int | None], patience_s: float) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise OperatorError(f"{name} (process {pid}) belongs to another user: run this command as that user") from None
    deadline = time.monotonic() + patience_s
    while find() == pid:
        if time.monotonic() > deadline:
            raise OperatorError(f"{name} (process {pid}) does not end: its log says more; `kill -9 {pid}` ends it")
        time.sleep(LOOK_S)
