"""Why a miner ended, from its exit code and the end of its log."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from streetvision.base.wording import clipped

TAIL = 64 << 10
"""Bytes at the log's end that are looked at."""
LONGEST = 300


def why_ended(code: int | None, log: Path, since: int = 0) -> str:
    """One clause; `since` is the log's size when the miner was started, so that no earlier one is quoted."""
    if code is not None and code < 0:
        return f"killed by {_signal_name(-code)}"
    said = last_error(log, since)
    ended = "it ended" if code is None else f"exit code {code}"
    return f"{ended}: {said}" if said else ended


def last_error(log: Path, since: int = 0) -> str:
    """The last error in the log, or its last line where that is no line of the log; empty when nothing went wrong."""
    lines = [_read(line) for line in tail(log, since).splitlines() if line.strip()]
    errors = [text for level, text in lines if level in ("ERROR", "CRITICAL")]
    found = errors[-1] if errors else next((text for level, text in lines[-1:] if not level), "")
    return clipped(" ".join(found.split()).rstrip("."), LONGEST)


def tail(log: Path, since: int = 0) -> str:
    """The end of the log, from byte `since` on at the earliest; empty when it cannot be read."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL, since if since <= size else 0))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _read(line: str) -> tuple[str, str]:
    """Level and message of a line, in either of the log's forms; no level for what is no line of the log."""
    if line.startswith("{"):
        try:
            fields = json.loads(line)
            return str(fields["level"]), str(fields["message"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return "", line
    _, bar, rest = line.partition(" | ")
    level, second, text = rest.partition(" | ")
    return (level.strip(), text) if bar and second else ("", line)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
