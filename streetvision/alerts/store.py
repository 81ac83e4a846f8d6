"""The alerts' memory on disk: replaced whole, so that a crash leaves the old one or the new one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loguru import logger

from streetvision.alerts.alert import Alert, read_alert
from streetvision.alerts.state import AlertState, read_state
from streetvision.base.disk import write_atomically
from streetvision.errors import reason

FILE = "alerts.json"
LIMIT_BYTES = 8 << 20

Waiting = Mapping[str, tuple[Alert, ...]]


class AlertStore:
    """One file. A failing disk is told once and never raised: alerts go on from memory."""

    def __init__(self, folder: Path, hotkey: str, netuid: int) -> None:
        """What was kept for another hotkey or subnet is not taken up."""
        self._file, self._whose = folder / FILE, [hotkey, netuid]
        self._failing = False

    def load(self) -> tuple[AlertState, Waiting]:
        """What the last process knew and had not delivered; nothing when there is no file or it is damaged."""
        try:
            fields = _fields(self._file)
            return _read(fields) if fields["whose"] == self._whose else (AlertState(), {})
        except FileNotFoundError:
            pass
        except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            logger.warning("alerts: {} cannot be read ({}): starting anew", self._file, type(error).__name__)
        return AlertState(), {}

    def save(self, state: AlertState, waiting: Waiting) -> None:
        """Write both; blocks on the disk."""
        kept = {name: [alert.as_dict() for alert in alerts] for name, alerts in waiting.items()}
        text = json.dumps({"whose": self._whose, **state.to_json(), "waiting": kept})
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, text)
        except OSError as error:
            if not self._failing:
                logger.warning("alerts: {} cannot be written: {}", self._file, reason(error))
            self._failing = True
        else:
            self._failing = False


def read_alerts(file: Path) -> tuple[AlertState, Waiting]:
    """The file's content; OSError, KeyError, TypeError or ValueError when there is none that can be used."""
    return _read(_fields(file))


def _fields(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        data = opened.read(LIMIT_BYTES + 1)
    if len(data) > LIMIT_BYTES:
        raise ValueError("the file is too large")
    fields = json.loads(data)
    if not isinstance(fields, dict):
        raise TypeError("the file holds no object")
    return fields


def _read(fields: Mapping[str, Any]) -> tuple[AlertState, Waiting]:
    waiting = {str(name): tuple(map(read_alert, alerts)) for name, alerts in fields["waiting"].items()}
    return read_state(fields), waiting
