"""Retraining for Prometheus, as the monitor's last look read it from the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric

from streetvision.monitor.finding import Finding
from streetvision.monitor.observation import Observation
from streetvision.monitor.retraining import RetrainView
from streetvision.retrain_log.records import RunState

Read = Callable[[RetrainView], float | None]
GAUGES: Mapping[str, tuple[str, Read]] = {
    "retrain_running": ("1 while a run is going", lambda v: v.last is not None and v.last.state == RunState.RUNNING),
    "retrain_paused": ("1 while the operator wants no runs", lambda v: v.paused_since is not None),
    "retrain_last_run_timestamp_seconds": ("When the last run began", lambda v: v.last.began if v.last else None),
    "retrain_last_decision_timestamp_seconds": ("When a run last came to a decision", lambda v: v.decided_at),
    "retrain_next_run_timestamp_seconds": ("When the service begins the next run", lambda v: v.next_run),
    "retrain_month_gpu_hours": ("GPU hours of this calendar month", lambda v: v.month_gpu_hours),
    "retrain_month_money": ("Money of this calendar month, by --retrain.gpu_price", lambda v: v.month_money),
}


class RetrainCollector:
    """Give `look` to the monitor as a listener."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._view: RetrainView | None = None
        self._created: float | None = None
        registry.register(self)

    def look(self, _: tuple[Finding, ...], seen: Observation) -> None:
        """Keep what the monitor has just seen; a log that cannot be read counts as none."""
        self._view = None if seen.retrain is None or seen.retrain.problem else seen.retrain
        self._created = None if seen.model is None else seen.model.created

    def collect(self) -> Sequence[Metric]:
        """Every family, without samples where retraining is not used."""
        view = self._view
        families = [_gauge(name, text, None if view is None else read(view)) for name, (text, read) in GAUGES.items()]
        runs = GaugeMetricFamily("streetvision_retrain_runs", "Runs in the log, by how they ended", labels=["state"])
        for state, count in ({} if view is None else view.counts).items():
            runs.add_metric([state], count)
        age = _gauge("model_created_timestamp_seconds", "When the serving model was submitted, or made", self._created)
        return [*families, runs, age]


def _gauge(name: str, text: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(f"streetvision_{name}", text)
    if value is not None:
        family.add_metric([], float(value))
    return family
