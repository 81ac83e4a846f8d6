"""Asking a fleet that is up: what its keepers know, and to start a miner anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streetvision.base.state_folder import lock_holder
from streetvision.control.client import NotRunning, call
from streetvision.errors import OperatorError
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.keeper import Kept, read_kept

WORK = "fleet"
SOCKET_NAME = "fleet.sock"
KEPT, RESTART, STOP = "kept", "restart", "stop"
"""Operations on the fleet's socket."""
SILENCE_S = 10.0


class NotUp(NotRunning):
    """No `fleet up` keeps these miners."""


def keeper_of(fleet: Fleet) -> int | None:
    """The process of `streetvision fleet up`; None when there is none."""
    return lock_holder(fleet.state_dir / f"{WORK}.lock")


def kept_by(fleet: Fleet) -> dict[str, Kept]:
    """What the keepers know, by the miner's name; NotUp when nobody keeps them, else OperatorError."""
    found = ask(fleet, KEPT)
    try:
        return {str(name): read_kept(fields) for name, fields in found.items()}
    except TypeError:
        raise OperatorError("the fleet that is up is of another version than this command: start it anew") from None


def ask(
    fleet: Fleet,
    operation: str,
    arguments: Mapping[str, Any] | None = None,
    on_progress: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """One operation of the fleet that is up; NotUp when there is none."""
    socket: Path = fleet.state_dir / SOCKET_NAME
    try:
        return call(socket, operation, arguments, on_progress, silence_s=SILENCE_S)
    except NotRunning:
        raise NotUp(
            f"no fleet is up in {fleet.state_dir}: start it with `streetvision fleet up --file {fleet.file}`"
        ) from None
