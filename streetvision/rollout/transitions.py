"""The steps that operations and automatic decisions share: admit, make ready, switch, try, end a trial, go back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from streetvision.engine.types import EngineError, Role
from streetvision.errors import OperatorError
from streetvision.models.versions import ModelVersion
from streetvision.registry.registry import Registry
from streetvision.rollout.decision_log import DecisionLog
from streetvision.rollout.deployment import Candidate, Deployment, Served
from streetvision.rollout.history import same, ways_back
from streetvision.rollout.journal import BY_HEALTH, BY_OPERATOR
from streetvision.rollout.loading import ModelProblem, OpenRunner, OutOfMemory, Progress, check, load, silent
from streetvision.rollout.policy import Policy
from streetvision.rollout.report import Report

if TYPE_CHECKING:
    from streetvision.engine.engine import Engine
    from streetvision.engine.lanes import Lane

T = TypeVar("T")
TransitionResult = dict[str, Any]
"""What was done, as JSON: `version`, `active`, `sentence` and more."""

logger = logging.getLogger(__name__)


class Transitions:
    """Call these under the operation lock. They raise OperatorError, and then the serving model serves as before."""

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        open_runner: OpenRunner,
        *,
        deployment: Deployment,
        decision_log: DecisionLog,
        policy: Policy,
        named: ModelVersion | None,
        over: str,
    ) -> None:
        self._engine, self._registry, self._open_runner = engine, registry, open_runner
        self._deployment, self._decision_log, self._policy = deployment, decision_log, policy
        self._named, self._over = named, over

    async def admit(self, version: str, *, blocked_too: bool) -> ModelVersion:
        """The version, if it is intact, may serve, and does not serve already.

        One that its gates or its health took off is refused unless `blocked_too`; one that an operator took off is not:
        who did it may undo it.
        """
        model = await asyncio.to_thread(self._registry.servable, version)
        if same(model, self._deployment.active.model):
            raise OperatorError(f"Version {version} serves already.")
        blocked = self._decision_log.blocklist.get(version, model.sha256)
        if blocked is not None and blocked.by != BY_OPERATOR and not blocked_too:
            raise OperatorError(
                f"Version {version} was rolled back at {blocked.at} ({blocked.why}): look at it as a shadow, or insist "
                "with --force."
            )
        return model

    async def make_ready(self, model: ModelVersion, how: str, progress: Progress) -> Served:
        """Load and check a model, or check the standby if it is that one; a refusal is written down."""
        try:
            return Served(model, await self._lane(model, progress))
        except ModelProblem as problem:
            await self._decision_log.note("refused", model.version, f"{how}: {problem}", by=BY_OPERATOR)
            raise OperatorError(
                f"Version {model.version} {problem}; version {self._deployment.active.version} goes on serving."
            ) from problem

    async def switch(self, new: Served, event: str, why: str, *, by: str, **details: Any) -> TransitionResult:  # noqa: ANN401
        """Make a ready model active; details go into the journal as evidence."""
        return await _to_the_end(self._switch(new, event, why, by, details))

    def try_out(self, served: Served, role: Role, share: float, active_seconds: tuple[float, ...]) -> None:
        """Begin a trial, or begin it anew in another role or with another share."""
        active = self._deployment.active
        report = Report(
            role,
            served.lane.version,
            active.lane.version,
            share=share,
            at=self._decision_log.time(),
            first_look=self._policy.gates.min_samples,
            active_seconds=active_seconds,
        )
        try:
            self._deployment.try_out(Candidate(served, role, share, report))
        except EngineError as error:
            self._deployment.dismiss_unless_kept(served.lane)
            raise OperatorError(f"Version {served.version} is not tried: {error}.") from error

    async def end_trial(
        self,
        candidate: Candidate,
        event: str,
        why: str,
        *,
        by: str,
        **details: Any,  # noqa: ANN401 - JSON values
    ) -> TransitionResult:
        """Take the candidate out and write down what it has shown."""
        self._deployment.end_trial()
        report = candidate.report.to_json()
        await self._decision_log.note(event, candidate.served.version, why, by=by, report=report, **details)
        sentence = (
            f"Version {candidate.served.version} is no longer tried; {self._deployment.active.version} serves alone."
        )
        return self.result(candidate.served.version, sentence, report=report)

    async def take_off(self, candidate: Candidate, why: str, *, by: str, **details: Any) -> TransitionResult:  # noqa: ANN401
        """End a canary that is no good, and block it: first it loses its traffic, then it is written down."""
        result = await self.end_trial(candidate, "rollback", why, by=by, **details)
        await self._decision_log.block(candidate.served.model, why, by=by)
        return result

    async def ways_back(self) -> list[ModelVersion]:
        """The versions that a rollback may go to, best first."""
        standby = self._deployment.standby
        return await asyncio.to_thread(
            ways_back,
            self._registry,
            self._decision_log.blocklist,
            self._deployment.active.model,
            standby=None if standby is None else standby.served.model,
            named=self._named,
            over=self._over,
        )

    async def go_back(self, why: str, by: str, progress: Progress) -> TransitionResult:
        """Put the last good version on that passes its check, and block the one that is left."""
        sick, problems = self._deployment.active, []
        for model in await self.ways_back():
            try:
                new = Served(model, await self._lane(model, progress))
            except ModelProblem as problem:
                problems.append(f"{model.version} {problem}")
                continue
            try:
                await _to_the_end(self._leave(sick, new, why, by))
            except EngineError as error:
                self._deployment.dismiss_unless_kept(new.lane)
                raise OperatorError(f"Version {new.version} was not put on: {error}.") from error
            return self.result(new.version, f"Version {new.version} serves again; {sick.version} was taken off: {why}.")
        tried = "; ".join(problems) or "no other version has served that was not rolled back itself"
        raise OperatorError(f"There is no good version to go back to ({tried}): {sick.version} goes on serving.")

    async def reopen(self, why: str) -> None:
        """Serve the active version by a newly opened lane; a trial ends without a verdict. Raises OperatorError."""
        deployment = self._deployment
        if deployment.candidate is not None:
            await self.end_trial(deployment.candidate, "stopped", why, by=BY_HEALTH)
        deployment.drop_standby()
        version = deployment.active.version
        try:
            lane = await self._load(deployment.active.model, silent)
        except ModelProblem as problem:
            raise OperatorError(f"version {version} {problem}") from problem
        deployment.replace_lane(lane)
        await self._decision_log.note("reopened", version, why, by=BY_HEALTH)

    def result(self, version: str, sentence: str, **more: Any) -> TransitionResult:  # noqa: ANN401 - JSON values
        """What an operation answers."""
        return {"version": version, "active": self._deployment.active.version, "sentence": sentence, **more}

    async def _switch(self, new: Served, event: str, why: str, by: str, details: dict[str, Any]) -> TransitionResult:
        try:
            old = await self._deployment.switch(new, f"{event} by {by}: {why}"[:200])
        except (OperatorError, EngineError) as error:
            self._deployment.dismiss_unless_kept(new.lane)
            sentence = (
                f"Version {new.version} was not put on, and {self._deployment.active.version} goes on serving: {error}"
            )
            await self._decision_log.note("failed", new.version, sentence, by=by)
            raise OperatorError(sentence) from error
        await self._decision_log.unblock(new.model)
        self._decision_log.metrics.serve(new.version)
        await self._decision_log.note(event, new.version, why, by=by, before=old.version, **details)
        return self.result(
            new.version, f"Version {new.version} serves; {old.version} was taken off.", before=old.version
        )

    async def _leave(self, sick: Served, new: Served, why: str, by: str) -> None:
        candidate = self._deployment.candidate
        if candidate is not None:
            await self.end_trial(
                candidate, "stopped", f"{sick.version} was rolled back, with which it was compared", by=by
            )
        await self._deployment.switch(new, f"rollback by {by}: {why}"[:200], failed=True)
        await self._decision_log.block(sick.model, why, by=by)
        self._decision_log.metrics.serve(new.version)
        await self._decision_log.note("rollback", sick.version, why, by=by, to=new.version)

    async def _lane(self, model: ModelVersion, progress: Progress) -> Lane:
        standby = self._deployment.standby
        if standby is not None and same(standby.served.model, model):
            progress({"stage": "check", "done": 0, "total": 1})
            await check(standby.served.lane, model, self._policy.too_slow_s)
            return standby.served.lane
        try:
            return await self._load(model, progress)
        except OutOfMemory:
            if self._deployment.standby is None:
                raise
            logger.warning(
                "models: memory is short, so %s is no longer kept loaded", self._deployment.standby.served.version
            )
            self._deployment.drop_standby()
            await self._deployment.freed()
            return await self._load(model, progress)

    async def _load(self, model: ModelVersion, progress: Progress) -> Lane:
        return await load(self._engine, self._open_runner, model, progress, self._policy.too_slow_s)


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Once begun it is finished, cancelled or not: lanes, pointer and journal must not tell different stories."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("models: %s", error)
        raise
