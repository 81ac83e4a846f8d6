"""Asking a running miner for its snapshot, through the control socket of its state folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import cast

from streetvision.control.client import SILENCE_S, SOCKET_NAME, call
from streetvision.errors import OperatorError
from streetvision.status.schema import OPERATION, SCHEMA, Span, Status


def ask(folder: Path, span: Span, *, silence_s: float = SILENCE_S) -> Status:
    """The miner that runs in a state folder; OperatorError when there is none, or one that speaks of other things."""
    found = call(folder / SOCKET_NAME, OPERATION, asdict(span), silence_s=silence_s)
    if found.get("schema") != SCHEMA:
        raise OperatorError("the miner is of another version than this command: restart the miner")
    return cast(Status, found)
