"""Where decisions are written: journal, marks, counters, and the newest ones in memory for the status."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from streetvision.errors import OperatorError
from streetvision.models.versions import ModelVersion
from streetvision.rollout.blocklist import MARKS_FILE, Mark, Marks
from streetvision.rollout.journal import JOURNAL_FILE, Entry, Journal
from streetvision.rollout.metrics import RolloutMetrics

REMEMBERED = 20
LOUD = ("rollback", "shadow_failed", "stuck", "refused", "failed")
BY_OPERATOR, BY_GATES, BY_HEALTH = "operator", "gates", "health"

logger = logging.getLogger(__name__)


class Books:
    """Journal and marks in one folder. Writing happens in threads: serving waits for no disk."""

    def __init__(self, folder: Path, metrics: CollectorRegistry, *, now: Callable[[], float] = time.time) -> None:
        """Reads what is there."""
        self._now = now
        self._journal = Journal(folder / JOURNAL_FILE, now=now)
        self._marks = Marks(folder / MARKS_FILE)
        self._recent = deque(self._journal.tail(REMEMBERED), maxlen=REMEMBERED)
        self.metrics = RolloutMetrics(metrics)
        self.metrics.bad.set(len(self._marks.all()))

    @property
    def marks(self) -> Marks:
        """The versions that were rolled back."""
        return self._marks

    @property
    def recent(self) -> list[Entry]:
        """The newest decisions, oldest first."""
        return list(self._recent)

    def time(self) -> str:
        """Now, ISO 8601 in UTC."""
        return datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")

    async def note(self, event: str, version: str | None, why: str, *, by: str, **details: Any) -> None:  # noqa: ANN401
        """Write a decision down, in the log too; `details` are JSON values."""
        level = logging.WARNING if event in LOUD else logging.INFO
        logger.log(level, "models: %s %s by %s: %s", event, version, by, why)
        self.metrics.decide(event, by)
        self._recent.append(await asyncio.to_thread(self._write, event, version, why, by, details))

    async def mark(self, model: ModelVersion, why: str, *, by: str) -> None:
        """This version is bad, as `by` says; a disk that fails is logged, for the mark holds in memory."""
        try:
            await asyncio.to_thread(self._marks.put, model.version, Mark(why, self.time(), model.sha256, by))
        except OperatorError as error:
            logger.error("a restart will not know that %s is bad: %s", model.version, error)
        self.metrics.bad.set(len(self._marks.all()))

    async def clear_mark(self, model: ModelVersion) -> None:
        """It is wanted again: an operator or its gates put it on."""
        try:
            await asyncio.to_thread(self._marks.clear, model.version)
        except OperatorError as error:
            logger.error("a restart will still take %s for bad: %s", model.version, error)
        self.metrics.bad.set(len(self._marks.all()))

    def _write(self, event: str, version: str | None, why: str, by: str, details: dict[str, Any]) -> Entry:
        return self._journal.write(event, version, why, by=by, **details)
