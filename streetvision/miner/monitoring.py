"""The miner's eyes as one part of it: the monitor, what it looks at, and what tells the operator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
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
from streetvision.control.monitor_operations import monitor_operations
from streetvision.control.server import Handler, Progress
from streetvision.errors import OperatorError
from streetvision.miner.endpoint_publisher import EndpointPublisher
from streetvision.miner.models import ModelRoom
from streetvision.miner.registering import command_for
from streetvision.monitor.history_database import FOLDER
from streetvision.monitor.machine import GpuReader, cuda_reader
from streetvision.monitor.model_card import CardWatch
from streetvision.monitor.monitor import Monitor, Sources
from streetvision.monitor.observation import CrashView, DeviceView, MachineView, RefusalView, RolloutView
from streetvision.monitor.standing import Standing, describe, standing_of
from streetvision.prediction_log.store import PredictionLog
from streetvision.rollout.decision_log import BY_OPERATOR
from streetvision.rollout.device_guard import LostDevice
from streetvision.runner.devices import resolve_device
from streetvision.settings.settings import Settings


def rollout_view(status: Mapping[str, Any]) -> RolloutView:
    """What `ModelManager.status` says, in short: a trial that runs, or the rollback by itself that was decided last."""
    candidate = status["candidate"]
    if candidate is not None:
        role: Literal["shadow", "canary"] = "canary" if candidate["role"] == "canary" else "shadow"
        return RolloutView(role, candidate["version"])
    last = status["decisions"][-1] if status["decisions"] else {}
    if last.get("event") != "rollback" or last.get("by") == BY_OPERATOR:
        return RolloutView("idle")
    return RolloutView("rolled_back", last["version"], last["why"], datetime.fromisoformat(last["at"]).timestamp())


Task = tuple[str, Callable[[], Awaitable[None]]]


class MonitorRoom:
    """Make it before the first snapshot; tell it of each room as that room opens; keep `tasks` running; close it."""

    def __init__(
        self,
        settings: Settings,
        wallet: MinerWallet,
        watcher: MetagraphWatcher,
        metrics: CollectorRegistry,
        *,
        clock: Clock,
        crashes: tuple[CrashView, ...] = (),
    ) -> None:
        """`crashes` are the starts before this one that did not end well."""
        self._settings, self._wallet, self._watcher = settings, wallet, watcher
        self._card = CardWatch(settings.model.repo, wallet.ss58_address, window=settings.model.pay_window, now=clock)
        self._sources = Sources(
            snapshot_age=watcher.age,
            chain_failures=lambda: watcher.failures,
            blocks_behind=lambda: watcher.behind,
            synchronised=kernel_synchronised,
            register_command=self.register_command,
            crashes=crashes,
        )
        self.monitor = Monitor(
            settings.state_dir / FOLDER,
            wallet.ss58_address,
            settings.netuid,
            self._sources,
            clocked=not settings.is_mock,
            now=clock,
        )
        self.alerts = _alerting(settings, wallet.ss58_address, metrics, clock)
        self.monitor.add_listener(self.alerts.on_pass)
        self.standing: Standing | None = None
        watcher.add_listener(self.monitor.on_snapshot)
        watcher.add_listener(self._log_standing)

    def watch_models(self, models: ModelRoom) -> None:
        """The models are open."""
        manager, guard = models.manager, models.guard
        self._sources.model = lambda: self._card.view(manager.serving)
        self._sources.rollout = lambda: rollout_view(manager.status())
        self._sources.device = lambda: _device_view(guard.lost)
        gpu = None if guard.lost else _gpu_of(self._settings.device)
        # A device that is lost may never answer the driver's questions.
        self._sources.gpu = None if gpu is None else lambda: MachineView() if guard.lost else gpu()

    def watch_log(self, log: PredictionLog) -> None:
        """The prediction log is open."""
        self._sources.log = log.health

    def watch_axon(self, axon: AxonServer) -> None:
        """The axon is open."""
        self._sources.offset = axon.admission.skew.offset
        self._sources.refusals = lambda: tuple(
            RefusalView(count.reason, REASONS.get(count.reason, count.reason), *count[1:])
            for count in axon.refusals.counts()
        )

    def watch_endpoint(self, publisher: EndpointPublisher) -> None:
        """The endpoint is published."""
        self._sources.endpoint = lambda: str(publisher.endpoint)

    def register_command(self) -> str:
        """The command that gives this hotkey a UID again."""
        snapshot = self._watcher.current
        price = snapshot.registration_price if snapshot is not None else None
        return command_for(self._wallet, self._settings, price or 0.0)

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
        """A pass of the rules out of turn, and what is due to the sinks, to which `close` gives a moment."""
        await self.monitor.judge_now()
        await self.alerts.catch_up()

    async def close(self) -> None:
        """Keep what the last minutes brought."""
        async with AsyncExitStack() as both:
            both.push_async_callback(self.alerts.close)
            await self.monitor.close()

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


def _device_view(lost: LostDevice | None) -> DeviceView | None:
    return None if lost is None else DeviceView(lost.at, lost.why, lost.on_cpu)


def _gpu_of(device: str) -> GpuReader | None:
    found = resolve_device(device)
    return cuda_reader(found.index or 0) if found.type == "cuda" else None
