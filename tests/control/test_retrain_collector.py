"""Retraining for Prometheus: what the monitor saw last, and nothing where retraining is not used."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from streetvision.control.retrain_collector import RetrainCollector
from streetvision.monitor.observation import ModelView, Observation
from streetvision.monitor.retraining import RetrainView, RunView

VIEW = RetrainView(
    last=RunView("20261130-0200", "running", 900.0, step="train"),
    decided_at=500.0,
    paused_since=600.0,
    next_run=2000.0,
    month_gpu_hours=3.25,
    month_money=6.5,
    counts={"promoted": 2, "failed": 1},
)
SEEN = Observation(now=1000.0, hotkey="own", retrain=VIEW, model=ModelView("street", "1.0.0", 100.0))


def shown(seen: Observation) -> dict[str, float]:
    """Samples by what follows `streetvision_`, with the labels' values."""
    registry = CollectorRegistry()
    RetrainCollector(registry).look((), seen)
    return {
        " ".join([sample.name.removeprefix("streetvision_"), *sample.labels.values()]): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_everything_is_shown_as_it_was_seen() -> None:
    assert shown(SEEN) == {
        "retrain_running": 1.0,
        "retrain_paused": 1.0,
        "retrain_last_run_timestamp_seconds": 900.0,
        "retrain_last_decision_timestamp_seconds": 500.0,
        "retrain_next_run_timestamp_seconds": 2000.0,
        "retrain_month_gpu_hours": 3.25,
        "retrain_month_money": 6.5,
        "retrain_runs promoted": 2.0,
        "retrain_runs failed": 1.0,
        "model_created_timestamp_seconds": 100.0,
    }


def test_what_nobody_knows_is_absent() -> None:
    bare = shown(replace(SEEN, retrain=RetrainView(), model=None))
    assert bare == dict.fromkeys(
        ("retrain_running", "retrain_paused", "retrain_month_gpu_hours", "retrain_month_money"), 0.0
    )


@pytest.mark.parametrize("view", [None, replace(VIEW, problem="it is damaged")])
def test_no_figures_without_a_log_that_can_be_read(view: RetrainView | None) -> None:
    assert shown(replace(SEEN, retrain=view)) == {"model_created_timestamp_seconds": 100.0}
