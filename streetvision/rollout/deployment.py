"""Who is on: the active model, the former one on standby, and the candidate; and the pointer that a restart follows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streetvision.engine.types import EngineError, Role
from streetvision.errors import OperatorError
from streetvision.models.versions import ModelVersion
from streetvision.registry.registry import Registry

if TYPE_CHECKING:
    from streetvision.engine.engine import Engine
    from streetvision.engine.lanes import Lane
    from streetvision.engine.types import Role
    from streetvision.rollout.report import Report


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model."""

    model: ModelVersion
    lane: Lane

    @property
    def version(self) -> str:
        """Its name in the registry, which differs from what the lane says for the bundled one."""
        return self.model.version


@dataclass(frozen=True, slots=True)
class Standby:
    """The former active model, still loaded, so that going back takes no time."""

    served: Served
    until: float
    """On the manager's clock; then its memory is freed."""


@dataclass(slots=True)
class Candidate:
    """The one model that is tried beside the active one."""

    served: Served
    role: Role
    share: float
    report: Report
    passed: bool = False
    """Whether its gates have passed; written down once. A canary is promoted then, a shadow goes on."""


def unregistered(folder: Path, version: str, name: str, sha256: str) -> ModelVersion:
    """A checkpoint folder outside the registry that --model names, so that it can be gone back to."""
    return ModelVersion(
        version=version,
        name=name,
        folder=folder,
        sha256=sha256,
        source=str(folder),
        added="",
        servable=True,
        why_not=None,
        created="",
    )


logger = logging.getLogger(__name__)


class Deployment:
    """Moves lanes between roles. It decides nothing, and each method leaves one model active, whatever fails."""

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        *,
        start: ModelVersion,
        over: str,
        keep_s: float,
        clock: Callable[[], float],
    ) -> None:
        """`start` is what the engine serves now; `over` is the value of --model."""
        self._engine = engine
        self._registry = registry
        self._over = over
        self._keep_s = keep_s
        self._clock = clock
        self._leaving: set[asyncio.Task[None]] = set()
        self.active = Served(start, engine.route.active)
        self.since = clock()
        self.standby: Standby | None = None
        self.candidate: Candidate | None = None
        self._owed: tuple[ModelVersion, str] | None = None

    async def switch(self, new: Served, why: str, *, failed: bool = False) -> Served:
        """Make `new` active, write the pointer, keep the former one on standby; returns the former one.

        `failed` says that the former one is left because it is sick: then it is not kept, and a pointer that cannot be
        written does not send it back. Otherwise that raises OperatorError and the former one serves again. Not to be
        cancelled.
        """
        old, since = self.active, self.since
        self._engine.activate(new.lane)
        self.active, self.since = new, self._clock()
        try:
            await asyncio.to_thread(self._point, new.model, why, failed)
        except OperatorError as error:
            if not failed:
                self._engine.activate(old.lane)
                self.active, self.since = old, since
                if self.candidate is not None:
                    self.try_out(self.candidate)
                raise
            self._owed = (new.model, why)
            logger.error(
                "models: %s serves, but until the pointer can be written a restart would come back with %s: %s",
                new.version,
                old.version,
                error,
            )
        else:
            self._owed = None
        self._tidy_up(old, new, failed)
        return old

    def replace_lane(self, lane: Lane) -> None:
        """Serve the active version by another lane of it; the pointer stays as it is, and so does `since`."""
        old = self.active.lane
        self._engine.activate(lane)
        self.active = Served(self.active.model, lane)
        self.dismiss(old)

    @property
    def device_lost(self) -> bool:
        """Whether the active lane's device is: what it answers says nothing of the model then."""
        return self.active.lane.device.loss is not None

    async def settle(self) -> None:
        """Write the pointer that a rollback could not write; OperatorError while it still cannot be."""
        if self._owed is not None:
            model, why = self._owed
            await asyncio.to_thread(self._point, model, why, True)
            self._owed = None
            logger.info("models: a restart comes back with %s now", model.version)

    def try_out(self, candidate: Candidate) -> None:
        """Give the candidate its share: of the answers as a canary, of glances as a shadow."""
        lane = candidate.served.lane
        if candidate.role is Role.CANARY:
            self._engine.canary(lane, candidate.share)
        else:
            self._engine.shadow(lane, candidate.share)
        self.candidate = candidate
        if self.standby is not None and self.standby.served.lane is lane:
            self.standby = None

    def end_trial(self) -> None:
        """Take the candidate out of the traffic and free it."""
        if self.candidate is not None:
            lane = self.candidate.served.lane
            self.candidate = None
            self.dismiss(lane)

    def drop_standby(self) -> None:
        """Free the former model."""
        if self.standby is not None:
            lane, self.standby = self.standby.served.lane, None
            self.dismiss(lane)

    def expire(self) -> str | None:
        """Free the former model when its time is over; returns its version then."""
        if self.standby is None or self._clock() < self.standby.until:
            return None
        version = self.standby.served.version
        self.drop_standby()
        return version

    def dismiss(self, lane: Lane) -> None:
        """Let a lane answer what it holds and free it, in the background; it gets nothing new from now on."""
        task = asyncio.ensure_future(self._retire(lane))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def dismiss_unless_kept(self, lane: Lane) -> None:
        """Free a lane that has no part to play after all."""
        others = [other.served for other in (self.standby, self.candidate) if other is not None]
        if not any(part.lane is lane for part in (self.active, *others)):
            self.dismiss(lane)

    async def freed(self) -> None:
        """Wait until every model that was dismissed is gone."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    def _tidy_up(self, old: Served, new: Served, failed: bool) -> None:
        """Former standby, candidate and active model: each is either on now, kept, or freed."""
        if self.candidate is not None and self.candidate.served.lane is new.lane:
            self.candidate = None
        if self.standby is not None and self.standby.served.lane is new.lane:
            self.standby = None
        self.drop_standby()
        if failed or self._keep_s <= 0:
            self.dismiss(old.lane)
        else:
            self.standby = Standby(old, self._clock() + self._keep_s)

    def _point(self, model: ModelVersion, why: str, failed: bool) -> None:
        if self._registry.holds(model):
            self._registry.activate(model.version, over=self._over, why=why, rollback=failed)
        else:
            self._registry.release(over=self._over, why=why, rollback=failed)

    async def _retire(self, lane: Lane) -> None:
        try:
            await self._engine.retire(lane)
        except EngineError as error:
            logger.warning("model %s could not be taken down in order: %s", lane.version, error)
