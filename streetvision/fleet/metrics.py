"""The metrics of all miners as one text for Prometheus: each miner's own, with its name as a label, and who is up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from streetvision.errors import OperatorError
from streetvision.fleet.keeper import Kept

LABEL = "hotkey"
"""Its value is the name of the miner's table, which is its hotkey's name; addresses are never labels."""


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def parsed(text: str) -> Sequence[Metric]:
    """The families of one miner's text; OperatorError for what is none."""
    try:
        return list(text_string_to_metric_families(text))
    except (ValueError, IndexError, KeyError) as error:
        raise OperatorError(f"these are no metrics ({error}): restart the miner") from error


def merged(found: Mapping[str, Sequence[Metric] | None], kept: Mapping[str, Kept]) -> bytes:
    """Prometheus' own format, from the families by miner; None for one that does not answer. Pure."""
    families = {family.name: family for family in _own(found, kept)}
    for name, of_one in found.items():
        for family in of_one or ():
            into = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                into.add_sample(sample.name, {LABEL: name, **sample.labels}, sample.value)
    registry = CollectorRegistry()
    registry.register(_Families(families.values()))
    return generate_latest(registry)


def _own(found: Mapping[str, Sequence[Metric] | None], kept: Mapping[str, Kept]) -> Iterable[Metric]:
    """What the fleet itself knows of each miner."""
    up = GaugeMetricFamily("streetvision_up", "1 while the miner answers its fleet", labels=[LABEL])
    restarts = CounterMetricFamily("streetvision_fleet_restarts", "Starts of a miner after its first", labels=[LABEL])
    for name, of_one in found.items():
        up.add_metric([name], float(of_one is not None))
        if name in kept:
            restarts.add_metric([name], kept[name].restarts)
    return up, restarts
