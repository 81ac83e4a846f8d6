"""The memory of the alerts, between two passes and, as JSON, over restarts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from loguru import logger

from streetvision.alerts.alert import Alert, AlertItem, read_alert, read_item
from streetvision.base.disk import write_atomically
from streetvision.errors import reason
from streetvision.monitor.finding import Finding, Severity, read_finding, read_severity

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Tracked:
    """One finding as the alerts see it. Times are Unix seconds."""

    finding: Finding
    """As the last pass in which it held found it; without its data and `since` after a restart."""
    began: float
    """When this spell began."""
    present_since: float
    """Start of the time for which it has held without a break."""
    critical_since: float | None = None
    """Start of the time for which it has been critical without a break; None while it is not."""
    gone_since: float | None = None
    """Start of the time for which it has not held; None while it does."""
    eased_since: float | None = None
    """Start of the time for which it has been less grave than was told."""
    announced: Severity | None = None
    """The severity told to the operator; None before, and after its recovery was told."""
    told_at: float = 0.0
    """When the operator was last told of it."""
    calmed_at: float | None = None
    """When it last recovered or eased."""
    flaps: int = 0
    """Returns soon after a recovery: each doubles the patience before the next recovery."""


@dataclass(frozen=True, slots=True)
class AlertState:
    """Everything; replaced whole."""

    tracked: Mapping[str, Tracked] = field(default_factory=lambda: MappingProxyType({}))
    """By the findings' keys."""
    stepped_at: float | None = None
    """Unix seconds of the last pass."""
    sent: tuple[float, ...] = ()
    """Unix seconds of the messages sent in the last hour."""
    events: tuple[AlertItem, ...] = ()
    """Changes of the last day, oldest first, for the digest."""
    digest_day: str | None = None
    """Date of the last digest; None before the first pass."""

    @property
    def active(self) -> tuple[Tracked, ...]:
        """The findings that the operator was told of and that have not recovered, the gravest first."""
        told = [t for t in self.tracked.values() if t.announced is not None]
        return tuple(sorted(told, key=lambda t: (-t.finding.severity, t.began)))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "format": FORMAT,
            "tracked": {key: _plain(tracked) for key, tracked in self.tracked.items()},
            "stepped_at": self.stepped_at,
            "sent": list(self.sent),
            "events": [event.as_dict() for event in self.events],
            "digest_day": self.digest_day,
        }


def _plain(tracked: Tracked) -> dict[str, Any]:
    finding = tracked.finding.as_dict()
    told = {name: finding[name] for name in ("code", "subject", "severity", "title", "evidence", "remedy")}
    own = {one.name: getattr(tracked, one.name) for one in fields(tracked) if one.name != "finding"}
    return {**told, **own, "announced": None if tracked.announced is None else tracked.announced.label}


def read_state(values: Mapping[str, Any]) -> AlertState:
    """The state from its plain values; KeyError, TypeError or ValueError for anything else."""
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']!r} is not {FORMAT}")
    day = values["digest_day"]
    return AlertState(
        tracked={str(key): _tracked(value) for key, value in values["tracked"].items()},
        stepped_at=_time(values["stepped_at"]),
        sent=tuple(float(time) for time in values["sent"]),
        events=tuple(read_item(event) for event in values["events"]),
        digest_day=None if day is None else str(day),
    )


def _tracked(values: Mapping[str, Any]) -> Tracked:
    announced = values["announced"]
    return Tracked(
        finding=read_finding(values),
        began=float(values["began"]),
        present_since=float(values["present_since"]),
        critical_since=_time(values["critical_since"]),
        gone_since=_time(values["gone_since"]),
        eased_since=_time(values["eased_since"]),
        calmed_at=_time(values["calmed_at"]),
        announced=None if announced is None else read_severity(announced),
        told_at=float(values["told_at"]),
        flaps=int(values["flaps"]),
    )


def _time(value: object) -> float | None:
    if value is not None and not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no time")
    return None if value is None else float(value)


FILE = "alerts.json"
LIMIT_BYTES = 8 << 20

Waiting = Mapping[str, tuple[Alert, ...]]


class AlertStore:
    """One file. A failing disk is told once and never raised: alerts go on from memory."""

    def __init__(self, folder: Path, hotkey: str, netuid: int) -> None:
        """A file kept for another hotkey or subnet is not taken up."""
        self._file, self._whose = folder / FILE, [hotkey, netuid]
        self._failing = False

    def load(self) -> tuple[AlertState, Waiting]:
        """The last process's state and undelivered messages; empty when there is no file or it is damaged."""
        try:
            fields = _fields(self._file)
            return _read(fields) if fields["whose"] == self._whose else (AlertState(), {})
        except FileNotFoundError:
            pass
        except (OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
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
