"""The miner's models as one part of it: registry, engine, and the manager that changes models."""

from __future__ import annotations

import time
from functools import partial

from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.config import Settings
from streetvision.control.operations import model_operations
from streetvision.control.server import Handler
from streetvision.engine.engine import Engine
from streetvision.engine.opening import open_runner
from streetvision.engine.types import EngineError, Runner
from streetvision.errors import OperatorError
from streetvision.model_choice import ModelChoice
from streetvision.models.versions import ModelVersion
from streetvision.parts import decode_limits
from streetvision.rollout.books import Books
from streetvision.rollout.manager import ModelManager
from streetvision.rollout.policy import policy_of


class ModelRoom:
    """Start it, serve from `engine` and keep `manager.run` running; close first the manager, then the engine."""

    def __init__(self, settings: Settings, choice: ModelChoice, metrics: CollectorRegistry) -> None:
        self._settings, self._choice = settings, choice
        self._books = Books(choice.registry.folder, metrics)
        self.engine = Engine(
            partial(self._open_runner, choice.start),
            limits=decode_limits(settings),
            registry=metrics,
            view_seconds=settings.views_max_seconds,
        )

    async def start(self) -> None:
        """Load and warm the chosen version; raises OperatorError. The engine is to be closed either way."""
        choice, started = self._choice, time.monotonic()
        logger.info("model: loading {}", choice.start.folder)
        try:
            await self.engine.start()
        except EngineError as error:
            raise OperatorError(
                f"the model in {choice.start.folder} cannot serve ({error}): name another one with --model"
            ) from error
        self.manager = ModelManager(
            self.engine,
            choice.registry,
            self._open_runner,
            self._books,
            start=choice.start,
            named=choice.named,
            over=self._settings.model,
            policy=policy_of(self._settings),
        )
        seconds = time.monotonic() - started
        logger.info("model: {} {} is warm after {:.1f} s", choice.start.name, choice.start.version, seconds)

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

    def _open_runner(self, model: ModelVersion) -> Runner:
        settings, registry = self._settings, self._choice.registry
        return open_runner(
            model.folder,
            device=settings.device,
            compile=None if settings.compile else False,
            threads=settings.threads or None,
            precision=settings.precision,
            verdicts=settings.state_dir / "precision",
            resolve=lambda version: registry.get(version).folder,
        )
