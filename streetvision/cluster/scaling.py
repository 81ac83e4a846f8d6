"""Serve's autoscaling policy: by the batches that wait, and by replicas that will be late. Serve imports it by path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.serve.config import AutoscalingContext

from streetvision.cluster.ranking import wanted


def scale(context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
    """How many replicas there should be; the second value is Serve's, for policies that remember."""
    config: Any = context.config
    work = [float(value) for value in _reported(context.aggregated_metrics or {}, "work")]
    target = wanted(
        context.target_num_replicas,
        float(context.total_num_requests or 0.0),
        work,
        target=float(config.target_ongoing_requests or 1.0),
        least=config.min_replicas,
        most=config.max_replicas,
    )
    return target, {}


def _reported(metrics: Mapping[str, Any], name: str) -> list[Any]:
    """The last value of each replica."""
    found = metrics.get(name, {})
    return [value for value in found.values() if value is not None]
