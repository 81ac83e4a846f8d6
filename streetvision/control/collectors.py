"""What is read at scraping rather than counted: standing, subnet, machine, engine and lanes.

Nothing here waits for a disk, a network or a driver: what needs those was read by the monitor's last look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from streetvision.base.logs import lines_dropped
from streetvision.control.readiness import Reason
from streetvision.engine.engine import Engine
from streetvision.engine.types import EngineClosed
from streetvision.models.versions import ModelVersion
from streetvision.monitor.finding import Finding
from streetvision.monitor.observation import MachineView, Observation
from streetvision.monitor.point import HistoryPoint

MetricValue = float | int | None
Rows = Sequence[tuple[Sequence[str], MetricValue]]
_THREADS = Path("/proc/self/task")

STANDING: Mapping[str, tuple[str, Callable[[HistoryPoint], MetricValue]]] = {
    "standing_registered": ("1 while the hotkey has a UID", lambda p: p.registered),
    "standing_uid": ("Own UID", lambda p: p.uid),
    "standing_rank": ("Rank among miners by incentive; 1 is the best", lambda p: p.rank),
    "standing_incentive": ("Own share of the miners' reward", lambda p: p.incentive if p.registered else None),
    "standing_emission_alpha": ("Own emission, alpha per tempo", lambda p: p.emission if p.registered else None),
    "standing_emission_alpha_per_day": (
        "Own emission, alpha per day",
        lambda p: p.emission_per_day if p.registered else None,
    ),
    "standing_emission_tao_per_day": (
        "Own emission at the pool's price, TAO per day",
        lambda p: p.tao_per_day if p.registered else None,
    ),
    "standing_trust": ("Own trust", lambda p: p.trust if p.registered else None),
    "standing_consensus": ("Own consensus", lambda p: p.consensus if p.registered else None),
    "standing_pruning_score": ("Own pruning score", lambda p: p.pruning_score if p.registered else None),
    "standing_stake_alpha": ("Own stake", lambda p: p.stake if p.registered else None),
    "standing_collateral_alpha": ("Own alpha locked against deregistration", lambda p: p.collateral),
    "standing_eviction_position": ("Own place in the order of eviction; 1 is next", lambda p: p.position),
    "standing_immune_blocks": (
        "Blocks of immunity left",
        lambda p: None if p.immune_until is None else max(0, p.immune_until - p.block),
    ),
    "subnet_miners": ("Miners on the subnet", lambda p: p.miners),
    "subnet_paid_miners": ("Miners with incentive", lambda p: p.paid_miners),
    "subnet_burn_share": ("Share of the miners' reward that is burned", lambda p: p.burn_share),
    "subnet_validators": ("Validators with permit and stake", lambda p: p.validators),
    "subnet_active_validators": ("Of those, the ones that set weights lately", lambda p: p.active_validators),
    "subnet_weights_age_blocks": ("Blocks since any validator set weights", lambda p: p.weights_age),
    "subnet_eviction_queue": ("UIDs that a registration may evict", lambda p: p.queue),
    "subnet_free_uids": ("UIDs that nobody has", lambda p: p.free_uids),
    "subnet_registrations_per_day": ("UIDs registered in the last day's blocks", lambda p: p.recent_registrations),
    "subnet_registration_price_tao": ("Price of a registration", lambda p: p.registration_price),
    "subnet_alpha_price_tao": ("Price of one alpha at the pool", lambda p: p.alpha_price),
    "chain_block": ("Block of the metagraph in use", lambda p: p.block),
    "chain_clock_offset_seconds": ("Our clock less the block's timestamp, way included", lambda p: p.clock_offset),
}
MACHINE: Mapping[str, tuple[str, Callable[[MachineView], MetricValue]]] = {
    "machine_disk_free_bytes": ("Free on the state folder's disk", lambda m: m.disk_free),
    "machine_disk_bytes": ("Size of the state folder's disk", lambda m: m.disk_total),
    "machine_memory_available_bytes": (
        "Memory left, of the container where it has a limit",
        lambda m: m.memory_available,
    ),
    "machine_memory_bytes": ("Memory in all, or the container's limit", lambda m: m.memory_total),
    "gpu_memory_free_bytes": ("Free GPU memory", lambda m: m.gpu_free),
    "gpu_memory_bytes": ("GPU memory in all", lambda m: m.gpu_total),
    "gpu_memory_others_bytes": ("GPU memory that other processes hold", lambda m: m.gpu_others),
    "gpu_utilisation": ("Share of the time in which the GPU computed", lambda m: m.gpu_busy),
    "gpu_temperature_celsius": ("Temperature of the GPU", lambda m: m.gpu_celsius),
    "gpu_power_watts": ("Power that the GPU draws", lambda m: m.gpu_watts),
}


class MonitorCollector:
    """Shows what the monitor saw at its last look; give `look` to the monitor as a listener."""

    def __init__(self, registry: CollectorRegistry, latest: Callable[[], HistoryPoint | None]) -> None:
        """`latest` is the newest point of the history."""
        self._latest = latest
        self._machine = MachineView()
        self._failures = 0
        registry.register(self)

    def look(self, _: tuple[Finding, ...], seen: Observation) -> None:
        """Keep what the monitor has just seen."""
        self._machine, self._failures = seen.machine, seen.chain_failures

    def collect(self) -> Sequence[Metric]:
        """Every family, without samples where nobody knows."""
        point = self._latest()
        families = [_one(name, text, None if point is None else read(point)) for name, (text, read) in STANDING.items()]
        families += [_one(name, text, read(self._machine)) for name, (text, read) in MACHINE.items()]
        families.append(_one("chain_failures", "Failed looks at the chain in a row", self._failures))
        return families


class EngineCollector:
    """Shows the engine's counts and each model in memory."""

    def __init__(self, registry: CollectorRegistry, engine: Engine, serving: Callable[[], ModelVersion]) -> None:
        self._engine, self._serving = engine, serving
        registry.register(self)

    def collect(self) -> Sequence[Metric]:
        """Every family; lanes of the same version are summed up."""
        stats, model = self._engine.stats(), self._serving()
        about = (model.name, model.version, model.kind, model.sha256[:16])
        return [
            _total("engine_answered", "Pictures answered", [((), stats.answered)]),
            _total("engine_cancelled", "Requests whose caller went away", [((), stats.cancelled)]),
            _total("engine_retried", "Pictures computed again alone", [((), stats.retried)]),
            _gauge("model_info", "The model that serves", ["name", "version", "kind", "sha256"], [(about, 1)]),
            *self._lanes(),
        ]

    def _lanes(self) -> Iterator[Metric]:
        sums: Counter[tuple[str, str]] = Counter()
        costs: dict[tuple[str, str], float] = {}
        for lane in self._engine.lanes:
            stats = lane.stats()
            for what in ("queued", "running", "answered", "failed"):
                sums[what, stats.version] += getattr(stats, what)
            costs[stats.version, "picture"], costs[stats.version, "batch"] = stats.cost
        for what, text in (("queued", "Pictures that wait"), ("running", "Pictures in the forward pass")):
            yield _gauge(f"lane_{what}", f"{text}, by model", ["version"], _of(sums, what))
        for what, text in (("answered", "Pictures answered"), ("failed", "Pictures that failed")):
            yield _total(f"lane_{what}", f"{text}, by model", _of(sums, what), ["version"])
        yield _gauge(
            "lane_cost_seconds", "Predicted seconds per picture and per batch", ["version", "per"], [*costs.items()]
        )
        yield _gauge("lane_role", "What a model in memory is for", ["version", "role"], [*self._roles().items()])

    def _roles(self) -> dict[tuple[str, str], int]:
        try:
            route = self._engine.route
        except EngineClosed:
            return {}
        named = {"active": route.active, "canary": route.canary, "shadow": route.shadow}
        roles = {(lane.version, role): 1 for role, lane in named.items() if lane is not None}
        for lane in self._engine.lanes:
            if lane not in named.values():
                roles[lane.version, "standby"] = 1
        return roles


class ProcessCollector:
    """What prometheus_client's own process metrics leave out, and whether the miner is ready."""

    def __init__(
        self,
        registry: CollectorRegistry,
        version: str,
        reasons: Callable[[], Sequence[Reason]],
        degraded: Callable[[], Sequence[Reason]],
    ) -> None:
        """`reasons` say why the miner is not ready, `degraded` why it serves less well than it should."""
        self._version, self._reasons, self._degraded = version, reasons, degraded
        registry.register(self)

    def collect(self) -> Sequence[Metric]:
        """Threads, version, readiness."""
        reasons = self._reasons()
        return [
            _gauge("build_info", "The version of this program", ["version"], [((self._version,), 1)]),
            _one("process_threads", "Threads of this process", _threads()),
            _total("log_lines_dropped", "Lines of the log that nobody read", [((), lines_dropped())]),
            _one("ready", "1 while /readyz says yes", not reasons),
            _gauge("not_ready", "Why /readyz says no", ["reason"], [((reason.code,), 1) for reason in reasons]),
            _gauge("degraded", "Why it serves less well", ["reason"], [((r.code,), 1) for r in self._degraded()]),
        ]


def _threads() -> MetricValue:
    return sum(1 for _ in _THREADS.iterdir()) if _THREADS.exists() else None


def _of(sums: Mapping[tuple[str, str], int], what: str) -> Rows:
    return [((version,), value) for (name, version), value in sums.items() if name == what]


def _one(name: str, text: str, value: MetricValue) -> Metric:
    return _gauge(name, text, (), [((), value)])


def _gauge(name: str, text: str, labels: Sequence[str], rows: Rows) -> Metric:
    return _filled(GaugeMetricFamily(f"streetvision_{name}", text, labels=labels), rows)


def _total(name: str, text: str, rows: Rows, labels: Sequence[str] = ()) -> Metric:
    return _filled(CounterMetricFamily(f"streetvision_{name}", text, labels=labels), rows)


def _filled(family: Any, rows: Rows) -> Metric:  # noqa: ANN401 - either family above; they share no typed base
    for labels, value in rows:
        if value is not None and isfinite(value):
            family.add_metric(labels, float(value))
    return family  # type: ignore[no-any-return]  # see the argument
