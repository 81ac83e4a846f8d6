"""The composition root: builds the rooms, joins them, and takes them down again. Start-up reads top to bottom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from loguru import logger
from prometheus_client import CollectorRegistry, Gauge

from streetvision.axon.metrics import AxonMetrics
from streetvision.axon.records import RequestRecord
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
from streetvision.miner.model_choice import ModelChoice, choose_model
from streetvision.miner.models import ModelRoom
from streetvision.miner.monitoring import MonitorRoom
from streetvision.miner.operator_port import HttpRoom
from streetvision.miner.registering import register
from streetvision.miner.request_log import RequestLog, counts_line
from streetvision.miner.starts import Starts
from streetvision.miner.status import StatusRoom
from streetvision.miner.supervising import supervised, supervising
from streetvision.monitor.monitor import Monitor
from streetvision.monitor.sampler import RequestSampler
from streetvision.settings.settings import Settings

CLOSE_SECONDS = 2.0
ROOM_SECONDS = 6.0
"""Longest wait for one room to close: a room that hangs must not cost the others their orderly end."""
STATUS_SECONDS = 300.0


class Gate:
    """Why new requests are refused; None while they are admitted. The axon reads it on every request."""

    def __init__(self) -> None:
        self.closed: str | None = "starting"


class Miner:
    """One miner. `start`, then `serve` for ever, then `close`; `close` is safe after any of them."""

    def __init__(self, settings: Settings, steps: StartSteps | None = None) -> None:
        """`steps` goes on with what the process has begun to tell of its start."""
        self.settings, self.steps = settings, steps or StartSteps(settings.state_dir)
        self.registry = CollectorRegistry()
        self.gate = Gate()
        self.clock = SteadyClock(tell=logger.warning)
        self.http = HttpRoom(settings, self.registry, self.gate, self.steps)
        self.starts = Starts(settings.state_dir)
        self._rooms = AsyncExitStack()
        self._rooms.callback(self.steps.close)
        self._unfinished: list[str] = []

    async def start(self) -> None:
        """Every step in order; OperatorError with one sentence at the first that fails."""
        self._rooms.enter_context(one_miner(self.settings.state_dir))
        self._on_close("the operator's port", self.http.close)
        await self.http.start()
        await self._begin()
        self.steps.begin("choosing the model")
        choice = await asyncio.to_thread(choose_model, self.settings)
        self.steps.begin("checking device, port and hotkey")
        check_before_paying(self.settings)
        self.wallet = serving_wallet(self.settings)
        logger.info("hotkey {} on netuid {}, network {}", self.wallet.ss58_address, self.settings.netuid, self._network)
        self.steps.begin("connecting to the chain")
        await self._open_chain()
        self.steps.begin("reading the metagraph")
        await self._ensure_registered()
        self.steps.begin("loading and warming the model")
        await self._open_models(choice)
        self.steps.begin("opening the log and the axon")
        self._open_log()
        await self._open_status()
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
            ("housekeeping", self._keep_house),
            *self.eyes.tasks(),
        )
        try:
            async with supervising(works):
                await supervised("device", self.models.guard.run)
        except RestartNeeded:
            self.gate.closed = "restarting"
            await self._finish("telling the operator", self.eyes.tell_now, ROOM_SECONDS)
            raise

    async def close(self, error: BaseException | None = None) -> bool:
        """Stop admitting, answer what is in flight, take everything down in reverse order; whether all went well.

        `error` is what ended the miner, for the record of its starts; None is a stop that was asked for.
        """
        self.gate.closed = "draining"
        self.starts.end(error)
        await self._rooms.aclose()
        return not self._unfinished

    def _on_close(self, room: str, close: Callable[[], Awaitable[object]], seconds: float = ROOM_SECONDS) -> None:
        """Close this room when the miner closes, before whatever was opened earlier."""
        self._rooms.push_async_callback(self._finish, f"closing {room}", close, seconds)

    async def _finish(self, what: str, work: Callable[[], Awaitable[object]], seconds: float) -> None:
        """One step of the end: what goes wrong in it is told here and by the exit code, and stops no later step."""
        try:
            async with asyncio.timeout(seconds):
                await work()
        except (OSError, OperatorError, EngineError) as error:
            self._unfinished.append(what)
            logger.error("{}: {}", what, reason(error))
        except Exception:  # noqa: BLE001 - a defect in one room
            self._unfinished.append(what)
            logger.exception("{} failed", what)

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
            self._on_close("the mocked chain", network.stop)
            self.chain = network.chain()
        else:
            endpoints = settings.endpoints or endpoints_of(settings.subtensor_network)
            self.chain = Chain(settings.subtensor_network, settings.netuid, endpoints=endpoints, now=self.clock)
        self._on_close("the chain", self.chain.close)
        await self.chain.connect(for_ever=False)
        await self.chain.require_subnet()
        self.watcher = MetagraphWatcher(self.chain, watch_policy(settings))
        age = Gauge("streetvision_chain_snapshot_age_seconds", "Age of the metagraph in use", registry=self.registry)
        age.set_function(self.watcher.age)

    async def _ensure_registered(self) -> None:
        if await self.chain.uid_of(self.wallet.ss58_address) is None:
            self.steps.begin("registering")
            await register(self.chain, self.wallet, self.settings)
        self.watcher.add_listener(self._on_snapshot)
        self.eyes = MonitorRoom(
            self.settings, self.wallet, self.watcher, self.registry, clock=self.clock, crashes=self.starts.crashes
        )
        self._on_close("the monitor", self.eyes.close)
        self.http.watch_chain(self.watcher, self.wallet.ss58_address, self.monitor)
        await self.watcher.refresh()
        self.watcher.start()
        self._on_close("the metagraph", self.watcher.stop)

    async def _open_models(self, choice: ModelChoice) -> None:
        self.models = ModelRoom(self.settings, choice, self.registry)
        self._on_close("the engine", self.models.engine.close)
        await self.models.start()
        self._on_close("the models", self.models.manager.close)
        self.eyes.watch_models(self.models)
        self.http.watch_models(self.models)

    async def _open_control(self) -> None:
        """The operator's door, opened last and closed first."""
        operations = self.models.operations() | self.eyes.operations(self._about) | self.status.operations()
        control = ControlServer(self.settings.state_dir / SOCKET_NAME, operations)
        await control.start()
        self._on_close("the control socket", control.close)

    def _about(self) -> dict[str, str | int]:
        """What tells this miner from another."""
        return {"port": self.axon.port, "netuid": self.settings.netuid, "network": self._network}

    def _open_log(self) -> None:
        self.requests = RequestLog(time.monotonic)
        self.log = prediction_log(self.settings, self.registry, self.clock)
        if self.log is not None:
            self.log.start()
            self._on_close("the prediction log", self._close_log)
            self.eyes.watch_log(self.log)

    async def _open_status(self) -> None:
        self.status = StatusRoom(
            self.settings, self.monitor, self.models.manager, self.log, lambda: self.gate.closed, clock=self.clock
        )
        await self.status.open()
        self.http.site.routes |= self.status.routes()

    async def _close_log(self) -> None:
        if self.log is not None and not await asyncio.to_thread(self.log.close, CLOSE_SECONDS):
            raise OperatorError("some requests were not written in time: the disk is too slow")

    def _on_request(self, record: RequestRecord) -> None:
        self.requests(record)
        self._valve(record)
        if self.log is not None:
            self.log(record)

    async def _open_axon(self) -> None:
        watching = (self.monitor.on_request, self.http.on_request, self.status.on_request)
        self._valve = RequestSampler(watching, self.registry)
        self.axon = AxonServer(
            axon_config(self.settings, self.wallet.ss58_address),
            self.models.engine,
            lambda: self.watcher.current,
            metrics=AxonMetrics(self.registry),
            gate=self.gate,
            on_request=self._on_request,
        )
        self._on_close("the axon", self._close_axon, self.settings.drain_seconds + 2 * CLOSE_SECONDS)
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
            if self.settings.is_mock or not new.is_misdated:  # the mocked chain has a time of its own
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
                age, models = self.watcher.age(), self.models.describe()
                logger.info("status: metagraph {:.0f} s old; {}; {}", age, models, counts_line(self.registry))
