"""Every decision about models as one JSON line: what, which version, by whom, and on what evidence."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streetvision.base.disk import write_all
from streetvision.errors import reason

JOURNAL_FILE = "decisions.jsonl"
"""Name in the registry's folder; the older half is `decisions.1.jsonl`."""
MAX_BYTES = 4 << 20
MAX_LINE = 64 << 10
BY_OPERATOR, BY_RETRAINING, BY_GATES, BY_HEALTH, BY_MINER = "operator", "retraining", "gates", "health", "miner"
"""Who decided; the miner, when it stops."""

logger = logging.getLogger(__name__)

JournalEntry = dict[str, Any]


class Journal:
    """Appends to a bounded file: when it is full it becomes the older half and a new one begins.

    A line is flushed to the disk, so that a crash leaves whole lines and at most one torn one, which readers skip and
    say. What a full disk took only in part is taken back.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time, max_bytes: int = MAX_BYTES) -> None:
        """Nothing is touched before the first decision; `max_bytes` bounds each of the two halves."""
        self.path = path
        self.older = path.with_name(f"{path.stem}.1{path.suffix}")
        self._now = now
        self._max_bytes = max_bytes

    def write(self, event: str, version: str | None, why: str, **details: Any) -> JournalEntry:  # noqa: ANN401 - JSON values
        """Append one decision and return it.

        A disk that cannot be written is logged as an error and stops nothing: a rollback must not wait for it.
        """
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        entry: JournalEntry = {"at": at, "event": event, "version": version, "why": why, **details}
        try:
            self._append(_line(entry))
        except OSError as error:
            logger.error(
                "the decision %r about %s could not be written to %s: %s", event, version, self.path, reason(error)
            )
        return entry

    def tail(self, count: int) -> list[JournalEntry]:
        """The newest decisions, oldest first; a torn or damaged line is skipped."""
        entries: list[JournalEntry] = []
        for path in (self.path, self.older):
            if len(entries) < count:
                entries = _read(path)[-(count - len(entries)) :] + entries
        return entries

    def _append(self, line: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            try:
                write_all(descriptor, line)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if size + len(line) > self._max_bytes:
            self.path.replace(self.older)


def _line(entry: JournalEntry) -> bytes:
    """One line of JSON; evidence that is absurdly long is left out rather than torn."""
    text = json.dumps(entry, ensure_ascii=False, allow_nan=False, default=str)
    if len(text) > MAX_LINE:
        short = {name: entry[name] for name in ("at", "event", "version")}
        text = json.dumps({**short, "why": str(entry["why"])[:1000], "shortened": True}, ensure_ascii=False)
    return text.encode("utf-8", "replace") + b"\n"


def _read(path: Path) -> list[JournalEntry]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        logger.error("earlier decisions about models cannot be read: %s", reason(error))
        return []
    found = [_parsed(line) for line in lines if line.strip()]
    entries = [entry for entry in found if entry is not None]
    if torn := len(found) - len(entries):
        logger.warning("%d damaged lines of %s are skipped: decisions about models that a crash cut off", torn, path)
    return entries


def _parsed(line: bytes) -> JournalEntry | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
