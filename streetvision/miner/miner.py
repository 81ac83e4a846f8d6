"""The composition root: makes the parts, opens them, and takes them down again. Start-up reads top to bottom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from loguru import logger
from prometheus_client import CollectorRegistry, Gauge

from streetvision.axon.metrics import AxonMetrics
from streetvision.axon.record_listeners import RecordListener, RecordListeners
from streetvision.axon.server import AxonServer
from streetvision.base.start_steps import StartSteps
from streetvision.base.state_folder import one_miner
from streetvision.base.steady_clock import SteadyClock
from streetvision.chain.client import Chain
from streetvision.chain.endpoints import endpoints_of
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.chain.registration import Registration
from streetvision.chain.watcher import MetagraphWatcher
from streetvision.control.client import SOCKET_NAME
from streetvision.control.request_metrics import RequestMetrics
from streetvision.control.server import ControlServer
from streetvision.engine.types import EngineError
from streetvision.errors import OperatorError, RestartNeeded, reason
from streetvision.miner.endpoint import external_endpoint
from streetvision.miner.endpoint_publisher import EndpointPublisher
from streetvision.miner.from_settings import (
    axon_config,
    check_before_paying,
    mock_network,
    prediction_log,
    serving_wallet,
    watch_policy,
)
from streetvision.miner.gate import Gate
from streetvision.miner.model_choice import ModelChoice, choose_model
from streetvision.miner.models import ServedModels
from streetvision.miner.monitoring import Monitoring, Watched
from streetvision.miner.operator_port import OperatorPort, Parts, Readiness
from streetvision.miner.registering import RegistrationGuard, register
from streetvision.miner.request_log import RequestLog, counts_line
from streetvision.miner.starts import Starts
from streetvision.miner.status import StatusService
from streetvision.miner.supervising import supervised, supervising
from streetvision.monitor.sampler import RequestSampler
from streetvision.monitor.thresholds import DAY
from streetvision.monitor.traffic_counter import TrafficCounter
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.settings.settings import Settings
from streetvision.status.samples import Samples, remembered

CLOSE_SECONDS = 2.0
PART_SECONDS = 6.0
"""Longest wait for one part to close: one that hangs must not cost the others their orderly end."""
STATUS_SECONDS = 300.0


class Miner:
    """One miner. `start`, then `serve` for ever, then `close`; `close` is safe after any of them."""

    def __init__(self, settings: Settings, steps: StartSteps | None = None) -> None:
        """`steps` goes on with what the process has begun to tell of its start."""
        self.settings, self.steps = settings, steps or StartSteps(settings.state_dir)
        self.registry = CollectorRegistry()
        self.gate = Gate()
        self.clock = SteadyClock(tell=logger.warning)
        self.readiness = Readiness(self.gate, self.steps, is_mock=settings.is_mock)
        self.operator_port = OperatorPort(settings, self.registry, self.readiness)
        self.starts = Starts(settings.state_dir)
        self._stack = AsyncExitStack()
        self._stack.callback(self.steps.close)
        self._unfinished: list[str] = []

    async def start(self) -> None:
        """Every step in order; OperatorError with one sentence at the first that fails."""
        self._stack.enter_context(one_miner(self.settings.state_dir))
        self._on_close("the operator's port", self.operator_port.close)
        await self.operator_port.start()
        await self._begin()
        self.steps.begin("choosing the model")
        choice = await asyncio.to_thread(choose_model, self.settings)
        self.steps.begin("checking device, port and hotkey")
        check_before_paying(self.settings)
        self.wallet = serving_wallet(self.settings)
        logger.info("hotkey {} on netuid {}, network {}", self.wallet.ss58_address, self.settings.netuid, self._network)
        self.steps.begin("connecting to the chain")
        await self._open_chain()
        await self._make_parts(choice)
        self.steps.begin("reading the metagraph")
        await self._ensure_registered()
        await self._open_watcher()
        self.steps.begin("loading and warming the model")
        await self._open_models()
        self.steps.begin("opening the log and the axon")
        self._open_log()
        await self._open_axon()
        self.steps.begin("publishing the endpoint")
        await self._publish_endpoint()
        await self._open_control()
        self.gate.closed = None
        self.steps.close()
        own = self._own_snapshot().find(self.wallet.ss58_address)
        uid = "no UID yet" if own is None else f"UID {own.uid}"
        logger.success("ready: {} on netuid {}, validators call {}", uid, self.settings.netuid, self.publisher.endpoint)

    async def _begin(self) -> None:
        """Write the start down; after crashes wait before the device is touched, which may be what they come from."""
        pause = self.starts.begin()
        if pause:
            self.gate.closed = "crash_loop"
            await asyncio.sleep(pause)
            self.gate.closed = "starting"

    async def register_only(self) -> Registration:
        """Register the hotkey as the settings say, and nothing else; OperatorError when that cannot be."""
        self.wallet = serving_wallet(self.settings)
        await self._open_chain()
        return await register(self.chain, self.wallet, self.settings)

    async def serve(self) -> None:
        """Keep the endpoint published, the model healthy and the log readable, until cancelled; the axon serves.

        Raises RestartNeeded, and has told the operator of it, when only another process can serve.
        """
        works = (
            ("publisher", self.publisher.run),
            ("models", self.models.manager.run),
            ("status line", self._log_status),
            *self.monitoring.tasks(),
        )
        try:
            async with supervising(works):
                await supervised("device", self.models.guard.run)
        except RestartNeeded:
            self.gate.closed = "restarting"
            await self._finish("telling the operator", self.monitoring.tell_now, PART_SECONDS)
            raise

    async def close(self, error: BaseException | None = None) -> bool:
        """Stop admitting, answer what is in flight, take everything down in reverse order; whether all went well.

        `error` is what ended the miner, for the record of its starts; None is a stop that was asked for.
        """
        self.gate.closed = "draining"
        self.starts.end(error)
        await self._stack.aclose()
        return not self._unfinished

    def _on_close(self, part: str, close: Callable[[], Awaitable[object]], seconds: float = PART_SECONDS) -> None:
        """Close this part when the miner closes, before whatever was opened earlier."""
        self._stack.push_async_callback(self._finish, f"closing {part}", close, seconds)

    async def _finish(self, what: str, work: Callable[[], Awaitable[object]], seconds: float) -> None:
        """One step of the end: what goes wrong in it is told here and by the exit code, and stops no later step."""
        try:
            async with asyncio.timeout(seconds):
                await work()
        except (OSError, OperatorError, EngineError) as error:
            self._unfinished.append(what)
            logger.error("{}: {}", what, reason(error))
        except Exception:  # noqa: BLE001 - a defect in one part
            self._unfinished.append(what)
            logger.exception("{} failed", what)

    @property
    def _network(self) -> str:
        return self.settings.subtensor.place

    def _own_snapshot(self) -> MetagraphSnapshot:
        snapshot = self.watcher.current
        if snapshot is None:
            raise OperatorError("the metagraph was never read: check the chain connection")
        return snapshot

    async def _open_chain(self) -> None:
        settings = self.settings
        if settings.is_mock:
            network = mock_network(settings, self.wallet.ss58_address)
            await network.start()
            self._on_close("the mocked chain", network.stop)
            self.chain = network.chain()
        else:
            endpoints = settings.subtensor.endpoints or endpoints_of(settings.subtensor.network)
            self.chain = Chain(settings.subtensor.network, settings.netuid, endpoints=endpoints, now=self.clock)
        self._on_close("the chain", self.chain.close)
        await self.chain.connect(for_ever=False)
        await self.chain.require_subnet()
        self.watcher = MetagraphWatcher(self.chain, watch_policy(settings))
        age = Gauge("streetvision_chain_snapshot_age_seconds", "Age of the metagraph in use", registry=self.registry)
        age.set_function(self.watcher.age)

    async def _make_parts(self, choice: ModelChoice) -> None:
        """Make every part of the miner, each with all that it asks; the steps that follow open them one by one."""
        settings, registry, wallet, clock = self.settings, self.registry, self.wallet, self.clock
        self.models = ServedModels(settings, choice, registry)
        self.log = prediction_log(settings, registry, clock)
        self.publisher = EndpointPublisher(self.chain, wallet.hotkey)
        self.request_log = RequestLog(time.monotonic)
        earlier = await asyncio.to_thread(remembered, settings.state_dir / LOG_FOLDER, clock() - DAY)
        counter, metrics, samples = TrafficCounter(clock()), RequestMetrics(registry), Samples(earlier)
        self.axon = self._make_axon(counter, metrics, samples)
        guard = RegistrationGuard(wallet, settings, self.gate, self.publisher.request)
        self.watcher.add_listener(guard.on_snapshot)
        self.watcher.add_listener(metrics.on_snapshot)
        watched = Watched(self.watcher, self.models, self.axon, self.publisher, self.log, counter, self.starts.crashes)
        self.monitoring = Monitoring(settings, wallet, watched, registry, clock=clock)
        self.status = StatusService(
            settings, self.monitoring.monitor, self.models, self.log, samples, gate=self.gate, clock=clock
        )
        self.readiness.parts = Parts(wallet.ss58_address, self.watcher, self.models, self.status)

    def _make_axon(self, *sampled: RecordListener) -> AxonServer:
        """`sampled` hear of the requests that the sampler admits, the logs of all of them."""
        return AxonServer(
            axon_config(self.settings, self.wallet.ss58_address),
            self.models.engine,
            lambda: self.watcher.current,
            metrics=AxonMetrics(self.registry),
            gate=self.gate,
            listeners=RecordListeners(
                (self.request_log,) if self.log is None else (self.request_log, self.log),
                self.registry,
                sampled=sampled,
                admits=RequestSampler(self.registry).admits,
            ),
        )

    async def _ensure_registered(self) -> None:
        if await self.chain.uid_of(self.wallet.ss58_address) is None:
            self.steps.begin("registering")
            await register(self.chain, self.wallet, self.settings)

    async def _open_watcher(self) -> None:
        self._on_close("the alerts", self.monitoring.alerts.close)
        self._on_close("the monitor", self.monitoring.monitor.close)
        self._on_close("the metagraph", self.watcher.stop)
        await self.watcher.refresh()
        self.watcher.start()

    async def _open_models(self) -> None:
        self._on_close("the backend", self.models.close_backend)
        self._on_close("the engine", self.models.engine.close)
        await self.models.start()
        self._on_close("the models", self.models.manager.close)

    async def _open_control(self) -> None:
        """What commands talk to, opened last and closed first."""
        operations = self.models.operations() | self.monitoring.operations(self._about)
        operations |= self.status.operations() | self.operator_port.operations()
        control = ControlServer(self.settings.state_dir / SOCKET_NAME, operations)
        await control.start()
        self._on_close("the control socket", control.close)

    def _about(self) -> dict[str, str | int]:
        """What tells this miner from another."""
        return {"port": self.axon.port, "netuid": self.settings.netuid, "network": self._network}

    def _open_log(self) -> None:
        if self.log is not None:
            self.log.start()
            self._on_close("the prediction log", self._close_log)

    async def _close_log(self) -> None:
        if self.log is not None and not await asyncio.to_thread(self.log.close, CLOSE_SECONDS):
            raise OperatorError("some requests were not written in time: the disk is too slow")

    async def _open_axon(self) -> None:
        self._on_close("the axon", self._close_axon, self.settings.drain_seconds + 2 * CLOSE_SECONDS)
        await self.axon.start()

    async def _close_axon(self) -> None:
        self.axon.stop_admitting("draining")
        if not await self.axon.drain(self.settings.drain_seconds):
            logger.warning("some requests in flight were not answered within {:g} s", self.settings.drain_seconds)
        await asyncio.wait_for(self.axon.close(), CLOSE_SECONDS)

    async def _publish_endpoint(self) -> None:
        endpoint = external_endpoint(self.settings, self.axon.port)
        if endpoint.is_ipv6:
            logger.warning("endpoint: {} is IPv6, which bittensor 9.x and 10.x dendrites cannot call", endpoint)
        await self.publisher.publish(endpoint)
        self.watcher.add_listener(self.publisher.on_snapshot)

    async def _log_status(self) -> None:
        """Once a second close the request log's minute, and every five minutes say how things stand."""
        due = time.monotonic() + STATUS_SECONDS
        while True:
            await asyncio.sleep(1.0)
            self.request_log.roll()
            if time.monotonic() >= due:
                due += STATUS_SECONDS
                age, models = self.watcher.age(), self.models.describe()
                logger.info("status: metagraph {:.0f} s old; {}; {}", age, models, counts_line(self.registry))
