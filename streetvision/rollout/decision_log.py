"""Where decisions are written: journal, blocklist, counters, and the newest ones in memory for the status."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from streetvision.errors import OperatorError
from streetvision.models.versions import ModelVersion
from streetvision.rollout.blocklist import BLOCKLIST_FILE, BlockedVersion, Blocklist
from streetvision.rollout.deployment import Candidate
from streetvision.rollout.journal import JOURNAL_FILE, Journal, JournalEntry


class RolloutMetrics:
    """Counts in `registry`; all names start with `streetvision_rollout_`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._active = Gauge(
            "streetvision_rollout_active", "1 for the version that serves", ["version"], registry=registry
        )
        self._decisions = Counter(
            "streetvision_rollout_decisions", "Decisions about models", ["event", "by"], registry=registry
        )
        for by in ("gates", "health"):
            self._decisions.labels("rollback", by)  # from 0 on: Prometheus must see the first increase
        self._share = Gauge(
            "streetvision_rollout_candidate_share", "Share of the candidate", ["version", "role"], registry=registry
        )
        self._samples = Gauge("streetvision_rollout_candidate_samples", "Different images compared", registry=registry)
        self._agreed = Gauge(
            "streetvision_rollout_candidate_agreed", "Different images decided alike", registry=registry
        )
        self._failed = Gauge(
            "streetvision_rollout_candidate_failed", "Different images that the candidate failed on", registry=registry
        )
        self.bad = Gauge("streetvision_rollout_bad_versions", "Versions that were rolled back", registry=registry)
        self.stuck = Gauge(
            "streetvision_rollout_stuck", "1 while the serving model is sick and no good one is left", registry=registry
        )

    def serve(self, version: str) -> None:
        """This version serves."""
        self._active.clear()
        self._active.labels(version).set(1)

    def decide(self, event: str, by: str) -> None:
        """One more decision."""
        self._decisions.labels(event, by).inc()

    def look_at(self, candidate: Candidate | None) -> None:
        """How far the candidate is; None: nothing is tried."""
        self._share.clear()
        if candidate is not None:
            self._share.labels(candidate.served.version, candidate.role.value).set(candidate.share)
        report = None if candidate is None else candidate.report
        self._samples.set(0 if report is None else report.samples)
        self._agreed.set(0 if report is None else report.agreed)
        self._failed.set(0 if report is None else report.failed)


REMEMBERED = 20
LOUD = ("rollback", "shadow_failed", "stuck", "refused", "failed")

logger = logging.getLogger(__name__)


class DecisionLog:
    """Journal and blocklist in one folder. Writing happens in threads: serving waits for no disk."""

    def __init__(self, folder: Path, metrics: CollectorRegistry, *, now: Callable[[], float] = time.time) -> None:
        """Reads what is there."""
        self._now = now
        self._journal = Journal(folder / JOURNAL_FILE, now=now)
        self._blocklist = Blocklist(folder / BLOCKLIST_FILE)
        self._recent = deque(self._journal.tail(REMEMBERED), maxlen=REMEMBERED)
        self.metrics = RolloutMetrics(metrics)
        self.metrics.bad.set(len(self._blocklist.all()))

    @property
    def blocklist(self) -> Blocklist:
        """The versions that were rolled back."""
        return self._blocklist

    @property
    def recent(self) -> list[JournalEntry]:
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

    async def block(self, model: ModelVersion, why: str, *, by: str) -> None:
        """This version is bad, as `by` says; a disk that fails is logged, for memory keeps it blocked."""
        try:
            await asyncio.to_thread(
                self._blocklist.put, model.version, BlockedVersion(why, self.time(), model.sha256, by)
            )
        except OperatorError as error:
            logger.error("a restart will not know that %s is bad: %s", model.version, error)
        self.metrics.bad.set(len(self._blocklist.all()))

    async def unblock(self, model: ModelVersion) -> None:
        """It is wanted again: an operator or its gates put it on."""
        try:
            await asyncio.to_thread(self._blocklist.clear, model.version)
        except OperatorError as error:
            logger.error("a restart will still take %s for bad: %s", model.version, error)
        self.metrics.bad.set(len(self._blocklist.all()))

    def _write(self, event: str, version: str | None, why: str, by: str, details: dict[str, Any]) -> JournalEntry:
        return self._journal.write(event, version, why, by=by, **details)
