"""When the device under the serving model is lost: the same version by a lane on the CPU, or the end of the process.

A context that is lost stays lost until another process makes one, and no model is to blame for it: nothing is rolled
back or marked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streetvision.engine.device_health import LOST
from streetvision.engine.types import DeviceLost, EngineClosed, EngineError
from streetvision.errors import OperatorError, RestartNeeded

if TYPE_CHECKING:
    from streetvision.engine.device_health import Loss
    from streetvision.engine.engine import Engine

LOOK_S = 1.0
MOVE_S = 120.0
"""Longest that loading on the CPU may take, while nobody is answered: another start may be quicker, or heal it."""
NO_STAND_IN = "the device is lost ({lost}), and the CPU cannot serve in its place ({cpu}): {remedy}"
REMEDY = "look for Xid lines in `dmesg`, see that nvidia-smi lists the GPU, then restart the miner"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LostDevice:
    """A device that this process can use no more."""

    at: float
    """Unix seconds."""
    why: str
    """One line."""
    on_cpu: bool
    """Whether a lane on the CPU answers in its place."""


class DeviceGuard:
    """Keep `run` running; `lost` is for whoever tells the operator."""

    def __init__(
        self,
        engine: Engine,
        move_to_cpu: Callable[[str], Awaitable[None]],
        *,
        lost: LostDevice | None = None,
        patience: float = MOVE_S,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`move_to_cpu` is given the reason; OperatorError when that cannot be. `lost` is known since the start.

        `patience` is in seconds.
        """
        self._patience = patience
        self._engine, self._move_to_cpu, self._now, self._sleep = engine, move_to_cpu, now, sleep
        self.lost = lost

    async def run(self) -> None:
        """Look once a second; raises RestartNeeded when only another process can serve."""
        while True:
            await self._sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """One look; moves to the CPU when the device is lost."""
        loss = self._loss()
        if loss is None:
            return
        if self.lost is not None:
            raise RestartNeeded(f"the device is lost ({self.lost.why}), and so is its stand-in ({loss.why}): {REMEDY}")
        self.lost = LostDevice(self._now(), loss.why, on_cpu=False)
        logger.error("THE DEVICE IS LOST (%s): moving to the CPU", loss.why)
        self._engine.route.active.refuse(DeviceLost(LOST))  # what waits in vain would hold the move up
        try:
            async with asyncio.timeout(self._patience):
                await self._move_to_cpu(f"the device is lost ({loss.why})")
        except (OperatorError, EngineError, TimeoutError) as error:
            why = str(error) or f"it is not ready after {self._patience:g} s"
            raise RestartNeeded(NO_STAND_IN.format(lost=loss.why, cpu=why, remedy=REMEDY)) from error
        self.lost = replace(self.lost, on_cpu=True)
        logger.error("the CPU serves in place of the lost device until the miner restarts: %s", REMEDY)

    def _loss(self) -> Loss | None:
        """Of the active lane; a context that another lane found lost is lost to all."""
        try:
            active = self._engine.route.active
        except EngineClosed:
            return None
        active.device.beat()
        if active.device.loss is not None:
            return active.device.loss
        others = (lane.device.loss for lane in self._engine.lanes if not lane.retired)
        return next((loss for loss in others if loss is not None and loss.kind == "lost"), None)
