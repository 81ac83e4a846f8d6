"""Findings and messages as metrics for Prometheus. All names start with `streetvision_monitor_`."""

from __future__ import annotations

from collections import Counter as Tally
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from streetvision.monitor.finding import Finding

DeliveryOutcome = Literal["sent", "failed", "dropped"]


class MonitorMetrics:
    """Counts from any thread; `findings` and `passed` from one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._findings = Gauge(
            "streetvision_monitor_findings", "Findings that hold now", ["code", "severity"], registry=registry
        )
        self._alerts = Counter(
            "streetvision_monitor_alerts",
            "Messages by sink: sent, failed (given up) or dropped (too many were waiting)",
            ["sink", "outcome"],
            registry=registry,
        )
        self._passed = Gauge(
            "streetvision_monitor_last_pass_timestamp_seconds", "When the rules were last applied", registry=registry
        )
        self._shown: set[tuple[str, str]] = set()

    def passed(self, findings: tuple[Finding, ...], now: float) -> None:
        """Show the findings of a pass."""
        counts = Tally((finding.code, finding.severity.label) for finding in findings)
        for labels in self._shown - set(counts):
            self._findings.labels(*labels).set(0)
        for labels, count in counts.items():
            self._findings.labels(*labels).set(count)
        self._shown |= set(counts)
        self._passed.set(now)

    def counted(self, sink: str, outcome: DeliveryOutcome) -> None:
        """Count a message."""
        self._alerts.labels(sink, outcome).inc()
