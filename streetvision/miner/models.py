"""The miner's models as one part of it: registry, engine, the manager that changes models, and their device."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.base.resources import usable_threads
from streetvision.control.collectors import EngineCollector
from streetvision.control.operations import model_operations
from streetvision.control.server import Handler
from streetvision.engine.engine import NOT_STARTED, Engine
from streetvision.engine.faults import cause_of
from streetvision.engine.remote import RemoteView
from streetvision.engine.types import DeviceLost, EngineClosed, EngineError, Runner
from streetvision.errors import OperatorError, RestartNeeded
from streetvision.miner.from_settings import backend_transport, decode_limits, remote_policy
from streetvision.miner.model_choice import ModelChoice
from streetvision.models.versions import ModelVersion
from streetvision.rollout.decision_log import DecisionLog
from streetvision.rollout.device_guard import NO_STAND_IN, REMEDY, DeviceGuard, LostDevice
from streetvision.rollout.manager import ModelManager
from streetvision.rollout.policy import policy_of
from streetvision.runner.device_check import device_trouble
from streetvision.runner.opening import open_runner
from streetvision.runner.remote import embedded, remote_ends
from streetvision.settings.settings import Settings

CPU = "cpu"
CHECK_SECONDS = 60.0
"""Longest wait for a device to add two numbers: a first context takes seconds, a hung driver for ever."""
WARM_SECONDS = 1800.0
"""Longest that loading, compiling, judging and warming may take at the start; a device that hangs takes for ever."""
DECODE_THREADS = 2
"""More are no quicker: a picture decodes in a fraction of a forward pass."""


class ServedModels:
    """Start it, serve from `engine`, keep `manager.run` and `guard.run` running; close the manager, then the engine."""

    def __init__(self, settings: Settings, choice: ModelChoice, metrics: CollectorRegistry) -> None:
        self._settings, self._choice, self._metrics = settings, choice, metrics
        self._device = settings.device
        self._manager: ModelManager | None = None
        self._guard: DeviceGuard | None = None
        self._decision_log = DecisionLog(choice.registry.folder, metrics)
        self._transport = backend_transport(settings, choice.start.version)
        self.engine = Engine(
            partial(self._open_runner, choice.start),
            limits=decode_limits(settings),
            registry=metrics,
            view_seconds=settings.views.max_seconds,
            decode_threads=min(DECODE_THREADS, usable_threads()),
            remote=embedded if self._transport is None else remote_ends(self._transport, remote_policy(settings)),
        )

    async def start(self) -> None:
        """Load and warm the chosen version; raises OperatorError. The engine is to be closed either way."""
        choice, started = self._choice, time.monotonic()
        logger.info("model: loading {}", choice.start.folder)
        try:
            lost = await self._start_engine()
        except EngineError as error:
            raise OperatorError(
                f"the model in {choice.start.folder} cannot serve ({error}): name another one with --model"
            ) from error
        manager = self._manager = ModelManager(
            self.engine,
            choice.registry,
            self._open_runner,
            self._decision_log,
            start=choice.start,
            named=choice.named,
            over=self._settings.model.choice,
            policy=policy_of(self._settings.rollout, self._settings.axon.deadline_margin),
        )
        self._guard = DeviceGuard(self.engine, self._move_to_cpu, lost=lost)
        EngineCollector(self._metrics, self.engine, lambda: manager.serving)
        seconds = time.monotonic() - started
        logger.info("model: {} {} is warm after {:.1f} s", choice.start.name, choice.start.version, seconds)

    @property
    def manager(self) -> ModelManager:
        """Changes models; raises EngineClosed before `start`."""
        if self._manager is None:
            raise EngineClosed(NOT_STARTED)
        return self._manager

    @property
    def guard(self) -> DeviceGuard:
        """Watches the device; raises EngineClosed before `start`."""
        if self._guard is None:
            raise EngineClosed(NOT_STARTED)
        return self._guard

    @property
    def is_warm(self) -> bool:
        """Whether the chosen version has been loaded and warmed."""
        return self._guard is not None

    @property
    def serving(self) -> ModelVersion | None:
        """The model that serves; None before `start`."""
        return None if self._manager is None else self._manager.serving

    @property
    def stuck(self) -> str | None:
        """Why the serving model is sick, while no good one is left."""
        return None if self._manager is None else self._manager.stuck

    @property
    def lost(self) -> LostDevice | None:
        """The device of the settings, when it can be used no more."""
        return None if self._guard is None else self._guard.lost

    @property
    def backend(self) -> RemoteView | None:
        """How the backend does that answers in the active model's place; None without one, and before `start`."""
        return self.engine.route.active.backend if self.is_warm else None

    async def close_backend(self) -> None:
        """Let go of the backend, after the engine."""
        if self._transport is not None:
            await self._transport.close()

    def status(self) -> dict[str, Any] | None:
        """`ModelManager.status`; None before `start`."""
        return None if self._manager is None else self._manager.status()

    def operations(self) -> dict[str, Handler]:
        """What `streetvision models` asks of the manager through the control socket."""
        return model_operations(self.manager)

    def describe(self) -> str:
        """`model 1.2.0, canary 1.3.0 on 10% of the images`, for the status line."""
        status = self.manager.status()
        text = f"model {status['active']['version']}"
        if candidate := status["candidate"]:
            share = f"{100 * candidate['share']:g}%"
            text += f", {candidate['role']} {candidate['version']} on {share} of the images"
        return f"{text}, SICK: {status['stuck']}" if status["stuck"] else text

    async def _start_engine(self) -> LostDevice | None:
        """On the device of the settings, or on the CPU where that is lost; what was lost."""
        trouble = await self._trouble()
        lost = None if trouble is None else self._leave_device(trouble)
        while True:
            try:
                async with asyncio.timeout(WARM_SECONDS):
                    await self.engine.start()
            except DeviceLost as error:
                lost = self._leave_device(cause_of(error))
            except TimeoutError as error:
                raise RestartNeeded(f"the model is not warm after {WARM_SECONDS:g} s: {REMEDY}") from error
            except (EngineError, OperatorError) as error:
                if lost is None or isinstance(error, RestartNeeded):
                    raise
                raise RestartNeeded(NO_STAND_IN.format(lost=lost.why, cpu=error, remedy=REMEDY)) from error
            else:
                return lost

    async def _trouble(self) -> str | None:
        """Why the device does not compute."""
        try:
            return await asyncio.wait_for(asyncio.to_thread(device_trouble, self._device), CHECK_SECONDS)
        except TimeoutError:
            return f"it does not answer within {CHECK_SECONDS:g} s"

    def _leave_device(self, trouble: str) -> LostDevice:
        """Everything is opened on the CPU from now on; RestartNeeded where it was already."""
        if self._device == CPU:
            raise RestartNeeded(f"the CPU cannot compute ({trouble}): check the machine's memory")
        logger.error("THE DEVICE {} IS LOST ({}): the CPU serves in its place: {}", self._device, trouble, REMEDY)
        self._device = CPU
        return LostDevice(time.time(), trouble, on_cpu=True)

    async def _move_to_cpu(self, why: str) -> None:
        self._device = CPU
        await self.manager.reopen(why)

    def _open_runner(self, model: ModelVersion) -> Runner:
        settings, registry = self._settings, self._choice.registry
        return open_runner(
            model.folder,
            device=self._device,
            compile=None if settings.compile else False,
            threads=settings.threads or None,
            precision=settings.precision,
            verdicts=settings.state_dir / "precision",
            runner=settings.runner,
            resolve=lambda version: registry.get(version).folder,
        )
