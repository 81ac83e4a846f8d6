"""The state machine of swap, shadow, canary, promotion and rollback, above the engine's lanes and the registry.

    swap      open -> prepare -> golden check -> activate -> pointer written -> former one on standby -> freed
    shadow    a candidate sees images after the reply; gates end it, or write down that it has passed
    canary    a candidate answers a share of the images; gates promote it or roll it back
    health    a serving model that falls sick is rolled back to the last good one, and marked

A failure at any step leaves the serving model serving. A version that was rolled back takes no traffic by itself, so
that nothing goes back and forth; one that was found sick needs an operator who insists.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from streetvision.engine.ensemble import members_of
from streetvision.engine.types import EngineError, Role, Telling
from streetvision.errors import OperatorError
from streetvision.models.versions import ModelVersion
from streetvision.registry.registry import Registry
from streetvision.rollout.autopilot import Autopilot
from streetvision.rollout.decision_log import DecisionLog
from streetvision.rollout.deployment import Candidate, Deployment, Served
from streetvision.rollout.gates import judge
from streetvision.rollout.history import same
from streetvision.rollout.journal import BY_MINER, BY_OPERATOR
from streetvision.rollout.loading import OpenRunner, Progress, silent
from streetvision.rollout.operation_lock import Operation, OperationLock
from streetvision.rollout.policy import Policy
from streetvision.rollout.transitions import TransitionResult, Transitions

if TYPE_CHECKING:
    from streetvision.engine.engine import Engine

TICK_S = 1.0

logger = logging.getLogger(__name__)


class ModelManager:
    """Changes models of a running engine. All methods are called on the engine's event loop.

    Operations raise OperatorError with one sentence, and then the serving model serves as before. One runs at a time.
    `progress` hears of steps as mappings with `stage`, `done` and `total`, on the event loop.
    """

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        open_runner: OpenRunner,
        decision_log: DecisionLog,
        *,
        start: ModelVersion,
        named: ModelVersion | None,
        over: str,
        policy: Policy,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Make it when the engine has started. `start` is the model that serves, `named` what --model stands for.

        `over` is the value of --model; `open_runner` loads a version, in a thread.
        """
        self._policy, self._decision_log, self._clock, self._sleep = policy, decision_log, clock, sleep
        self._operation_lock = OperationLock(clock)
        self._deployment = Deployment(engine, registry, start=start, over=over, keep_s=policy.keep_s, clock=clock)
        self._transitions = Transitions(
            engine,
            registry,
            open_runner,
            deployment=self._deployment,
            decision_log=decision_log,
            policy=policy,
            named=named,
            over=over,
        )
        self._autopilot = Autopilot(
            self._deployment,
            self._transitions,
            self._operation_lock,
            decision_log=decision_log,
            policy=policy,
            clock=clock,
        )
        decision_log.metrics.serve(start.version)
        engine.add_listener(self._autopilot.feed)

    @property
    def active(self) -> str:
        """The version that serves."""
        return self._deployment.active.version

    @property
    def serving(self) -> ModelVersion:
        """The model that serves."""
        return self._deployment.active.model

    async def swap(self, version: str, progress: Progress = silent, *, force: bool = False) -> TransitionResult:
        """Load a version beside the serving one, check it, switch to it between two requests.

        `force` puts on one that its gates or its health took off before.
        """
        return await self._put_on(version, "swap", progress, blocked_too=force)

    async def promote(self, version: str | None = None, progress: Progress = silent) -> TransitionResult:
        """Make the candidate active whatever its gates say; or a version, even one that was rolled back."""
        candidate = self._deployment.candidate
        if version is None and candidate is None:
            raise OperatorError("Nothing is tried at the moment: name the version to promote.")
        if candidate is None or version not in (None, candidate.served.version):
            return await self._put_on(str(version), "promote", progress, blocked_too=True)
        async with self._operation_lock.enter("the promotion"):
            candidate = self._tried()
            progress({"stage": "switch", "done": 1, "total": 1})
            report = candidate.report.to_json()
            return await self._transitions.switch(
                candidate.served, "promote", "promoted by hand", by=BY_OPERATOR, report=report
            )

    async def shadow(
        self, version: str, share: float | None = None, progress: Progress = silent, *, by: str = BY_OPERATOR
    ) -> TransitionResult:
        """Let a version look at that share of the images (0 to 1) after the reply, and report."""
        share = self._policy.shadow_share if share is None else share
        return await self._try_out(version, Role.SHADOW, share, progress, blocked_too=True, by=by)

    async def canary(
        self,
        version: str,
        share: float | None = None,
        progress: Progress = silent,
        *,
        force: bool = False,
        by: str = BY_OPERATOR,
    ) -> TransitionResult:
        """Let a version answer that share of the images (0 to 1), until its gates promote it or roll it back.

        `force` tries one that its gates or its health took off before.
        """
        share = self._policy.canary_share if share is None else share
        return await self._try_out(version, Role.CANARY, share, progress, blocked_too=force, by=by)

    async def stop_shadow(self, by: str = BY_OPERATOR) -> TransitionResult:
        """End the trial, shadow or canary, without a verdict on it; or an operation that is still getting ready."""
        running = self._operation_lock.current
        if running is not None and not running.automatic:
            await self._operation_lock.stop(f"stopped {_said(by)}")
            return self._transitions.result(self.active, f"Stopped {running.name}; version {self.active} serves.")
        async with self._operation_lock.enter("the end of the trial"):
            return await self._transitions.end_trial(self._tried(), "stopped", f"stopped {_said(by)}", by=by)

    async def rollback(self, progress: Progress = silent, *, by: str = BY_OPERATOR) -> TransitionResult:
        """Take the canary out of the traffic, or go back to the last good version; what is left is marked bad."""
        why = f"rolled back {_said(by)}"
        async with self._operation_lock.enter("the rollback") as operation:
            candidate = self._deployment.candidate
            if candidate is None or candidate.role is Role.SHADOW:
                return await self._transitions.go_back(why, by, _watched(operation, progress))
            return await self._transitions.take_off(candidate, why, by=by)

    async def reopen(self, why: str) -> None:
        """Stop what runs and serve the active version by a newly opened lane, as when its device is lost.

        No model is blamed. Raises OperatorError when the version cannot be opened, and EngineError.
        """
        while self._operation_lock.current is not None:
            await self._operation_lock.stop(why)
        async with self._operation_lock.enter("the move to another device", automatic=True):
            await self._transitions.reopen(why)

    @property
    def stuck(self) -> str | None:
        """Why the serving model is sick, while no good one is left."""
        return self._autopilot.stuck

    def status(self) -> TransitionResult:
        """Everything about models at this moment, as JSON."""
        deployment, now = self._deployment, self._clock()
        standby, candidate = deployment.standby, deployment.candidate
        health = self._autopilot.health.to_json()
        return {
            "active": {
                **_names(deployment.active),
                **_served_by(deployment.active),
                "for_s": now - deployment.since,
                "health": health,
            },
            "standby": None if standby is None else {**_names(standby.served), "left_s": standby.until - now},
            "candidate": None if candidate is None else self._describe(candidate),
            "operation": _operation(self._operation_lock.current, now),
            "stuck": self._autopilot.stuck,
            "bad": {
                version: {"why": blocked.why, "at": blocked.at}
                for version, blocked in self._decision_log.blocklist.all().items()
            },
            "decisions": self._decision_log.recent,
        }

    async def run(self) -> None:
        """Look after health, gates and standby once a second, for ever."""
        while True:
            await self.tick()
            await self._sleep(TICK_S)

    async def tick(self) -> None:
        """One look; problems that an operator can act on are logged and do not end `run`."""
        try:
            await self._autopilot.look()
            if self._operation_lock.current is None:
                await self._deployment.settle()
        except (OperatorError, EngineError) as error:
            logger.error("models: %s", error)
        if self._operation_lock.current is None and (version := self._deployment.expire()) is not None:
            logger.info("models: %s is no longer kept loaded", version)
        self._decision_log.metrics.look_at(self._deployment.candidate)

    async def freed(self) -> None:
        """Wait until the memory of every model that was taken off is free; the standby is kept."""
        await self._deployment.freed()

    async def close(self) -> None:
        """Stop what runs, and write down that a trial ended with the miner. Call it before the engine closes."""
        await self._operation_lock.stop("the miner is shutting down")
        candidate = self._deployment.candidate
        if candidate is not None:
            await self._transitions.end_trial(candidate, "stopped", "the miner stopped", by=BY_MINER)

    async def _put_on(self, version: str, how: str, progress: Progress, *, blocked_too: bool) -> TransitionResult:
        async with self._operation_lock.enter(f"the {how} to {version}") as operation:
            self._require_no_trial_but(None)
            model = await self._transitions.admit(version, blocked_too=blocked_too)
            watched = _watched(operation, progress)
            new = await self._transitions.make_ready(model, how, watched)
            watched({"stage": "switch", "done": 1, "total": 1})
            return await self._transitions.switch(new, how, f"{how} by hand", by=BY_OPERATOR)

    async def _try_out(
        self, version: str, role: Role, share: float, progress: Progress, *, blocked_too: bool, by: str
    ) -> TransitionResult:
        if not 0.0 < share <= 1.0:
            raise OperatorError(f"The share must be above 0 and at most 1 (100%), not {share:g}.")
        async with self._operation_lock.enter(f"the {role.value} of {version}") as operation:
            self._require_no_trial_but(version)
            model = await self._transitions.admit(version, blocked_too=blocked_too)
            tried = self._deployment.candidate
            if tried is not None and same(tried.served.model, model):
                served = tried.served
                why = f"begins anew as {role.value} on {100 * share:g}% of the images"
                await self._decision_log.note("stopped", version, why, by=by, report=tried.report.to_json())
            else:
                served = await self._transitions.make_ready(model, role.value, _watched(operation, progress))
            self._transitions.try_out(served, role, share, self._autopilot.health.seconds)
            await self._decision_log.note(role.value, version, f"started {_said(by)}", by=by, share=share)
            return self._transitions.result(
                version, f"Version {version} is tried as {role.value} on {100 * share:g}% of the images."
            )

    def _tried(self) -> Candidate:
        if self._deployment.candidate is None:
            raise OperatorError("Nothing is tried at the moment.")
        return self._deployment.candidate

    def _require_no_trial_but(self, version: str | None) -> None:
        tried = self._deployment.candidate
        if tried is not None and tried.served.version != version:
            raise OperatorError(
                f"Version {tried.served.version} is tried as {tried.role.value}: promote it, roll it back or "
                "stop it first."
            )

    def _describe(self, candidate: Candidate) -> TransitionResult:
        verdict = judge(candidate.report.stats(), self._policy.gates)
        return {
            **_names(candidate.served),
            **_served_by(candidate.served),
            "role": candidate.role.value,
            "share": candidate.share,
            "passed": candidate.passed,
            "verdict": verdict.decision.value,
            "evidence": list(verdict.evidence),
            "report": candidate.report.to_json(),
        }


def _said(by: str) -> str:
    return "by hand" if by == BY_OPERATOR else f"by {by}"


def _names(served: Served) -> TransitionResult:
    model = served.model
    return {"version": model.version, "name": model.name, "sha256": model.sha256, "source": model.source}


def _served_by(served: Served) -> TransitionResult:
    """What computes: of an ensemble, for each member that says so."""
    members = members_of(served.lane.runner)
    return {"served_by": [asdict(member.served_by) for member in members if isinstance(member, Telling)]}


def _operation(operation: Operation | None, now: float) -> TransitionResult | None:
    if operation is None:
        return None
    return {"name": operation.name, "for_s": now - operation.since, "step": dict(operation.step)}


def _watched(operation: Operation, progress: Progress) -> Progress:
    """Progress that the status shows too."""

    def tell(step: Mapping[str, Any]) -> None:
        operation.step = step
        progress(step)

    return tell
