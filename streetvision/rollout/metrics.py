"""The rollout in Prometheus: who serves, who is tried, what was decided."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from streetvision.rollout.deployment import Candidate


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
