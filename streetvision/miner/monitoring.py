"""The monitor as one part of the miner: what it looks at, and the alerts that tell the operator."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.alerts.alerting import Alerting
from streetvision.alerts.policy import policy_of
from streetvision.alerts.sinks.choosing import ping_of, sinks_of
from streetvision.axon.refusals import REASONS
from streetvision.axon.server import AxonServer
from streetvision.base.steady_clock import Clock, kernel_synchronised
from streetvision.base.wording import short
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.chain.wallets import MinerWallet
from streetvision.chain.watcher import MetagraphWatcher
from streetvision.control.collectors import MonitorCollector
from streetvision.control.monitor_operations import monitor_operations
from streetvision.control.retrain_collector import RetrainCollector
from streetvision.control.server import Handler, Progress
from streetvision.engine.remote import RemoteView
from streetvision.errors import OperatorError
from streetvision.miner.endpoint_publisher import EndpointPublisher
from streetvision.miner.models import ServedModels
from streetvision.miner.registering import command_again
from streetvision.monitor.history_database import FOLDER
from streetvision.monitor.machine import GpuReader, cuda_reader
from streetvision.monitor.model_card import CardWatch
from streetvision.monitor.monitor import Monitor, Sources
from streetvision.monitor.observation import BackendView, CrashView, DeviceView, MachineView, RefusalView, RolloutView
from streetvision.monitor.retrain_reading import read_retraining
from streetvision.monitor.standing import Standing, describe, standing_of
from streetvision.monitor.traffic_counter import TrafficCounter
from streetvision.prediction_log.store import PredictionLog
from streetvision.rollout.device_guard import LostDevice
from streetvision.rollout.journal import BY_OPERATOR, BY_RETRAINING
from streetvision.runner.devices import device_kind, resolve_device
from streetvision.settings.settings import Settings


def rollout_view(status: Mapping[str, Any]) -> RolloutView:
    """What `ModelManager.status` says, in short: a trial that runs, or the rollback by itself that was decided last."""
    candidate = status["candidate"]
    if candidate is not None:
        role: Literal["shadow", "canary"] = "canary" if candidate["role"] == "canary" else "shadow"
        return RolloutView(role, candidate["version"])
    last = status["decisions"][-1] if status["decisions"] else {}
    if last.get("event") != "rollback" or last.get("by") in (BY_OPERATOR, BY_RETRAINING):
        return RolloutView("idle")
    return RolloutView("rolled_back", last["version"], last["why"], datetime.fromisoformat(last["at"]).timestamp())


Task = tuple[str, Callable[[], Awaitable[None]]]


@dataclass(frozen=True, slots=True)
class Watched:
    """The parts of the miner that the monitor looks at."""

    watcher: MetagraphWatcher
    models: ServedModels
    axon: AxonServer
    publisher: EndpointPublisher
    log: PredictionLog | None
    traffic_counter: TrafficCounter
    crashes: tuple[CrashView, ...]
    """The starts before this one that did not end well."""


class Monitoring:
    """The monitor and the alerts: make it before the first snapshot, keep `tasks` running, close alerts and monitor."""

    def __init__(
        self, settings: Settings, wallet: MinerWallet, watched: Watched, metrics: CollectorRegistry, *, clock: Clock
    ) -> None:
        self._wallet = wallet
        self._card = CardWatch(settings.model.repo, wallet.ss58_address, window=settings.model.pay_window, now=clock)
        self.monitor = Monitor(
            settings.state_dir / FOLDER,
            wallet.ss58_address,
            settings.netuid,
            _sources(settings, wallet, watched, self._card, clock),
            watched.traffic_counter,
            clocked=not settings.is_mock,
            now=clock,
        )
        self.alerts = _alerting(settings, wallet.ss58_address, metrics, clock)
        self.standing: Standing | None = None
        collector = MonitorCollector(metrics, lambda: next(reversed(self.monitor.history.points), None))
        self.monitor.add_listener(collector.look)
        self.monitor.add_listener(RetrainCollector(metrics).look)
        self.monitor.add_listener(self.alerts.on_pass)
        watched.watcher.add_listener(self.monitor.on_snapshot)
        watched.watcher.add_listener(self._log_standing)

    def tasks(self) -> tuple[Task, ...]:
        """What must run for as long as the miner serves, by name."""
        return (("monitor", self.monitor.run), ("alerts", self.alerts.run), ("card", self._card.run))

    def operations(self, about: Callable[[], Mapping[str, Any]] = lambda: {}) -> dict[str, Handler]:
        """What an operator may ask through the control socket."""
        return {**monitor_operations(self.monitor, about), "alerts": self._tell_alerts}

    async def _tell_alerts(self, arguments: Mapping[str, Any], _progress: Progress) -> Mapping[str, Any]:
        if arguments:
            raise OperatorError("`alerts` takes no arguments")
        return self.alerts.overview()

    async def tell_now(self) -> None:
        """A pass of the rules out of turn, and what is due to the sinks, to which `alerts.close` gives a moment."""
        await self.monitor.judge_now()
        await self.alerts.catch_up()

    def _log_standing(self, old: MetagraphSnapshot | None, new: MetagraphSnapshot) -> None:
        """Once a tempo, where we stand."""
        if old is not None and old.last_epoch == new.last_epoch:
            return
        now = standing_of(new, self._wallet.ss58_address)
        if now is not None:
            logger.info("standing: {}", describe(now, self.standing))
            self.standing = now


def _alerting(settings: Settings, hotkey: str, metrics: CollectorRegistry, clock: Clock) -> Alerting:
    return Alerting(
        settings.state_dir / FOLDER,
        hotkey,
        settings.netuid,
        settings.alerts.name or short(hotkey),
        sinks=sinks_of(settings.alerts),
        ping=ping_of(settings.alerts),
        ping_every_s=60 * settings.alerts.ping_minutes,
        policy=policy_of(settings.alerts),
        registry=metrics,
        now=clock,
    )


def _sources(settings: Settings, wallet: MinerWallet, watched: Watched, card: CardWatch, now: Clock) -> Sources:
    watcher, models, publisher, log = watched.watcher, watched.models, watched.publisher, watched.log
    return Sources(
        snapshot_age=watcher.age,
        chain_failures=lambda: watcher.failures,
        blocks_behind=lambda: watcher.behind,
        synchronised=kernel_synchronised,
        endpoint=lambda: None if publisher.endpoint is None else str(publisher.endpoint),
        refusals=lambda: _refusals(watched.axon),
        offset=watched.axon.admission.skew.offset,
        model=lambda: None if models.serving is None else card.view(models.serving),
        rollout=lambda: None if (status := models.status()) is None else rollout_view(status),
        log=lambda: None if log is None else log.health(),
        device=lambda: _device_view(models.lost),
        backend=lambda: _backend_view(models.backend, now()),
        crashes=watched.crashes,
        gpu=_gpu_reader(settings.device, models),
        retrain=lambda: read_retraining(settings.state_dir, settings.retrain, now()),
        register_command=lambda: command_again(wallet, settings, watcher.current),
    )


def _refusals(axon: AxonServer) -> tuple[RefusalView, ...]:
    counts = axon.refusals.counts()
    return tuple(RefusalView(count.reason, REASONS.get(count.reason, count.reason), *count[1:]) for count in counts)


def _device_view(lost: LostDevice | None) -> DeviceView | None:
    return None if lost is None else DeviceView(lost.at, lost.why, lost.on_cpu)


def _backend_view(backend: RemoteView | None, now: float) -> BackendView | None:
    if backend is None:
        return None
    return BackendView(
        backend.name,
        backend.state.value,
        since=now - (time.monotonic() - backend.since),
        trouble="" if backend.trouble is None else backend.trouble.value,
        why=backend.why,
        answered=backend.answered,
        embedded=backend.embedded,
        link=backend.link,
    )


def _gpu_reader(device: str, models: ServedModels) -> GpuReader:
    """Asks the driver while the device computes: one that is lost, or not tried yet, may never answer."""

    @cache
    def reader() -> GpuReader | None:
        return cuda_reader(resolve_device(device).index or 0) if device_kind(device) == "cuda" else None

    def read() -> MachineView:
        if not models.is_warm or models.lost is not None or (gpu := reader()) is None:
            return MachineView()
        return gpu()

    return read
