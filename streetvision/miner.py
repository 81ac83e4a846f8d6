"""The composition root: builds the rooms, joins them, and takes them down again. Start-up reads top to bottom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from loguru import logger
from prometheus_client import CollectorRegistry, Gauge

from streetvision.axon.metrics import AxonMetrics
from streetvision.axon.records import RequestRecord
from streetvision.axon.server import AxonServer
from streetvision.chain.client import Chain
from streetvision.chain.endpoints import endpoints_of
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.chain.registration import Registration
from streetvision.chain.watcher import MetagraphWatcher
from streetvision.config import Settings
from streetvision.control.server import SOCKET_NAME, ControlServer
from streetvision.endpoint import external_endpoint
from streetvision.engine.types import EngineError
from streetvision.errors import OperatorError, reason
from streetvision.http_room import HttpRoom
from streetvision.model_choice import ModelChoice, choose_model
from streetvision.model_room import ModelRoom
from streetvision.monitor.monitor import Monitor
from streetvision.monitor.valve import Valve
from streetvision.monitor_room import MonitorRoom
from streetvision.parts import (
    axon_config,
    check_before_paying,
    mock_network,
    prediction_log,
    serving_wallet,
    watch_policy,
)
from streetvision.publishing import EndpointPublisher
from streetvision.registering import register
from streetvision.request_log import RequestLog, counts_line
from streetvision.state_folder import one_miner
from streetvision.status_room import StatusRoom

RESTART_SECONDS = 5.0
CLOSE_SECONDS = 2.0
STATUS_SECONDS = 300.0


class Gate:
    """Why new requests are refused; None while they are admitted. The axon reads it on every request."""

    def __init__(self) -> None:
        self.closed: str | None = "starting"


class Miner:
    """One miner. `start`, then `serve` for ever, then `close`; `close` is safe after any of them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry = CollectorRegistry()
        self.gate = Gate()
        self.http = HttpRoom(settings, self.registry, self.gate)
        self._closers: list[Callable[[], Awaitable[object]]] = []
        self._held = ExitStack()

    async def start(self) -> None:
        """Every step in order; OperatorError with one sentence at the first that fails."""
        self._held.enter_context(one_miner(self.settings.state_dir))
        self._closers.append(self.http.close)
        await self.http.start()
        choice = await asyncio.to_thread(choose_model, self.settings)
        check_before_paying(self.settings)
        self.wallet = serving_wallet(self.settings)
        logger.info("hotkey {} on netuid {}, network {}", self.wallet.ss58_address, self.settings.netuid, self._network)
        await self._open_chain()
        await self._ensure_registered()
        await self._open_models(choice)
        self._open_log()
        await self._open_status()
        await self._open_axon()
        await self._publish_endpoint()
        await self._open_control()
        self.gate.closed = None
        own = self._own_snapshot().find(self.wallet.ss58_address)
        uid = "no UID yet" if own is None else f"UID {own.uid}"
        logger.success("ready: {} on netuid {}, validators call {}", uid, self.settings.netuid, self.publisher.endpoint)

    async def register_only(self) -> Registration:
        """Register the hotkey as the settings say, and nothing else; OperatorError when that cannot be."""
        self.wallet = serving_wallet(self.settings)
        await self._open_chain()
        return await register(self.chain, self.wallet, self.settings)

    async def serve(self) -> None:
        """Keep the endpoint published, the model healthy and the log readable, until cancelled; the axon serves."""
        await asyncio.gather(
            _supervised("publisher", self.publisher.run),
            _supervised("models", self.models.manager.run),
            _supervised("housekeeping", self._keep_house),
            *(_supervised(name, work) for name, work in self.eyes.tasks()),
        )

    async def close(self) -> None:
        """Stop admitting, answer what is in flight, take everything down in reverse order."""
        self.gate.closed = "draining"
        for closer in reversed(self._closers):
            try:
                await closer()
            except (OSError, TimeoutError, OperatorError, EngineError) as error:
                logger.warning("closing: {}", reason(error))
        self._closers.clear()
        self._held.close()

    @property
    def monitor(self) -> Monitor:
        """What watches the miner, from the moment when the hotkey is registered."""
        return self.eyes.monitor

    @property
    def _network(self) -> str:
        return ", ".join(self.settings.endpoints) or self.settings.subtensor_network

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
            self._closers.append(network.stop)
            self.chain = network.chain()
        else:
            endpoints = settings.endpoints or endpoints_of(settings.subtensor_network)
            self.chain = Chain(settings.subtensor_network, settings.netuid, endpoints=endpoints)
        self._closers.append(self.chain.close)
        await self.chain.connect(for_ever=False)
        await self.chain.require_subnet()
        self.watcher = MetagraphWatcher(self.chain, watch_policy(settings))
        age = Gauge("streetvision_chain_snapshot_age_seconds", "Age of the metagraph in use", registry=self.registry)
        age.set_function(lambda: self.watcher.age(time.time()))

    async def _ensure_registered(self) -> None:
        if await self.chain.uid_of(self.wallet.ss58_address) is None:
            await register(self.chain, self.wallet, self.settings)
        self.watcher.add_listener(self._on_snapshot)
        self.eyes = MonitorRoom(self.settings, self.wallet, self.watcher, self.registry)
        self._closers.append(self.eyes.close)
        self.http.watch_chain(self.watcher, self.wallet.ss58_address, self.monitor)
        await self.watcher.refresh()
        self.watcher.start()
        self._closers.append(self.watcher.stop)

    async def _open_models(self, choice: ModelChoice) -> None:
        self.models = ModelRoom(self.settings, choice, self.registry)
        self._closers.append(self.models.engine.close)
        await self.models.start()
        self._closers.append(self.models.manager.close)
        self.eyes.watch_models(self.models.manager)
        self.http.watch_models(self.models)

    async def _open_control(self) -> None:
        """The operator's door, opened last and closed first."""
        operations = self.models.operations() | self.eyes.operations(self._about) | self.status.operations()
        control = ControlServer(self.settings.state_dir / SOCKET_NAME, operations)
        await control.start()
        self._closers.append(control.close)

    def _about(self) -> dict[str, str | int]:
        """What tells this miner from another."""
        return {"port": self.axon.port, "netuid": self.settings.netuid, "network": self._network}

    def _open_log(self) -> None:
        self.requests = RequestLog(time.monotonic)
        self.log = prediction_log(self.settings, self.registry)
        if self.log is not None:
            self.log.start()
            self._closers.append(self._close_log)
            self.eyes.watch_log(self.log)

    async def _open_status(self) -> None:
        self.status = StatusRoom(self.settings, self.monitor, self.models.manager, self.log, lambda: self.gate.closed)
        await self.status.open()
        self.http.site.routes |= self.status.routes()

    async def _close_log(self) -> None:
        if self.log is not None:
            await asyncio.to_thread(self.log.close, CLOSE_SECONDS)

    def _on_request(self, record: RequestRecord) -> None:
        self.requests(record)
        self._valve(record)
        if self.log is not None:
            self.log(record)

    async def _open_axon(self) -> None:
        watching = (self.monitor.on_request, self.http.on_request, self.status.on_request)
        self._valve = Valve(watching, self.registry)
        self.axon = AxonServer(
            axon_config(self.settings, self.wallet.ss58_address),
            self.models.engine,
            lambda: self.watcher.current,
            metrics=AxonMetrics(self.registry),
            gate=self.gate,
            on_request=self._on_request,
        )
        self._closers.append(self._close_axon)
        await self.axon.start()
        self.eyes.watch_axon(self.axon)

    async def _close_axon(self) -> None:
        self.axon.stop_admitting("draining")
        if not await self.axon.drain(self.settings.drain_seconds):
            logger.warning("some requests in flight were not answered within {:g} s", self.settings.drain_seconds)
        await asyncio.wait_for(self.axon.close(), CLOSE_SECONDS)

    async def _publish_endpoint(self) -> None:
        endpoint = external_endpoint(self.settings, self.axon.port)
        if endpoint.is_ipv6:
            logger.warning("endpoint: {} is IPv6, which bittensor 9.x and 10.x dendrites cannot call", endpoint)
        self.publisher = EndpointPublisher(self.chain, self.wallet.hotkey, endpoint)
        if await self.publisher.publish() is not None:
            self.publisher.request()
        self.watcher.add_listener(self.publisher.on_snapshot)
        self.eyes.watch_endpoint(self.publisher)

    def _on_snapshot(self, _old: MetagraphSnapshot | None, new: MetagraphSnapshot) -> None:
        own = new.find(self.wallet.ss58_address)
        if own is None:
            self._deregistered()
        elif self.gate.closed == "deregistered":
            self.gate.closed = None
            self.publisher.request()
            logger.success("registered again as UID {}: admitting requests", own.uid)

    def _deregistered(self) -> None:
        if self.gate.closed is None:
            self.gate.closed = "deregistered"
            logger.error(
                "hotkey {} lost its UID on netuid {}: requests are refused until it is registered again. "
                "Register with: {}",
                self.wallet.ss58_address,
                self.settings.netuid,
                self.eyes.register_command(),
            )

    async def _keep_house(self) -> None:
        """Once a second close the log's minute, and now and then say how things stand."""
        due = time.monotonic() + STATUS_SECONDS
        while True:
            await asyncio.sleep(1.0)
            self.requests.roll()
            if time.monotonic() >= due:
                due += STATUS_SECONDS
                age, models = self.watcher.age(time.time()), self.models.describe()
                logger.info("status: metagraph {:.0f} s old; {}; {}", age, models, counts_line(self.registry))


async def _supervised(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run a background task for ever: a defect in it is logged with its traceback and never stops the serving."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - the one place where a defect must not end the process
            logger.exception("{} failed; it starts again in {:g} s", name, RESTART_SECONDS)
        await asyncio.sleep(RESTART_SECONDS)
