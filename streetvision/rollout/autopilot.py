"""What happens by itself: the gates of the candidate, and the health of the serving model, looked at once a second."""

from __future__ import annotations

import logging
from collections.abc import Callable

from streetvision.engine.types import EngineClosed, Outcome, Role
from streetvision.errors import OperatorError
from streetvision.rollout.decision_log import DecisionLog
from streetvision.rollout.deployment import Candidate, Deployment
from streetvision.rollout.gates import Decision, judge
from streetvision.rollout.journal import BY_GATES, BY_HEALTH
from streetvision.rollout.lane_health import Health, Sickness
from streetvision.rollout.loading import ModelProblem, probe, silent
from streetvision.rollout.operation_lock import OperationLock
from streetvision.rollout.policy import Policy
from streetvision.rollout.transitions import Transitions

PROBE_EVERY_S = 10.0
"""A suspected model is shown golden pictures at most this often."""
STUCK_S = 600.0
"""After a sick model could not be rolled back: seconds until that is tried, and complained about, again."""

logger = logging.getLogger(__name__)


class Autopilot:
    """Feeds on outcomes; `look` acts on what they say."""

    def __init__(
        self,
        deployment: Deployment,
        transitions: Transitions,
        operation_lock: OperationLock,
        *,
        decision_log: DecisionLog,
        policy: Policy,
        clock: Callable[[], float],
    ) -> None:
        self._deployment, self._transitions, self._operation_lock = deployment, transitions, operation_lock
        self._decision_log, self._policy, self._clock = decision_log, policy, clock
        self._served, self._health = deployment.active, Health(deployment.active.lane.version)
        self._probe_at = self._retry_at = 0.0
        self.stuck: str | None = None
        """Why the serving model is sick, while no good one is left."""

    @property
    def health(self) -> Health:
        """Of the model that serves now: another one begins with a clean sheet."""
        if self._served is not self._deployment.active:
            self._served = self._deployment.active
            self._health = Health(self._served.lane.version)
            self._probe_at = self._retry_at = 0.0
            self._unstick()
        return self._health

    def feed(self, outcome: Outcome) -> None:
        """Take in an outcome of any lane."""
        self.health.feed(outcome, self._clock())
        if self._deployment.candidate is not None:
            self._deployment.candidate.report.feed(outcome)

    async def look(self) -> None:
        """Once a second. Raises OperatorError for what an operator should hear of."""
        if self._deployment.device_lost:
            return
        sickness = await self._diagnose()
        if sickness is None:
            self._unstick()
        elif sickness.certain:
            await self._cure(sickness.reason)
        candidate = self._deployment.candidate
        if candidate is not None and self._operation_lock.current is None:
            await self._decide(candidate)

    async def _diagnose(self) -> Sickness | None:
        """Health's judgement; a mere suspicion is settled with golden pictures."""
        health, now = self.health, self._clock()
        sickness = health.judge(now)
        if sickness is None or sickness.certain or now < self._probe_at:
            return sickness
        self._probe_at = now + PROBE_EVERY_S
        served = self._deployment.active
        try:
            await probe(served.lane, served.model, self._policy.too_slow_s)
        except ModelProblem as problem:
            return Sickness(served is self._deployment.active, f"{sickness.reason}, and it {problem}")
        health.absolve(now)
        return None

    async def _cure(self, reason: str) -> None:
        """Roll back, even in the midst of an operation; where there is nothing to go back to, say so loudly."""
        sick = self._deployment.active
        if self._clock() < self._retry_at:
            return
        if not await self._transitions.ways_back():
            await self._stick(reason, "no other good version has served before")
            return
        await self._operation_lock.stop(f"the serving version {sick.version} is sick and is being rolled back")
        async with self._operation_lock.enter("the automatic rollback", automatic=True):
            if self._deployment.active is not sick:
                return
            try:
                await self._transitions.go_back(reason, BY_HEALTH, silent)
            except OperatorError as error:
                await self._stick(reason, str(error))

    async def _stick(self, reason: str, why: str) -> None:
        version = self._deployment.active.version
        self._retry_at = self._clock() + STUCK_S
        logger.error("models: THE SERVING VERSION %s IS SICK (%s) AND CANNOT BE ROLLED BACK: %s", version, reason, why)
        if self.stuck is None:
            await self._decision_log.note("stuck", version, f"{reason}; {why}", by=BY_HEALTH)
        self.stuck = f"Version {version} is sick ({reason}) and cannot be rolled back: {why}"
        self._decision_log.metrics.stuck.set(1)

    def _unstick(self) -> None:
        if self.stuck is not None:
            logger.info("models: version %s is well", self._deployment.active.version)
        self.stuck = None
        self._decision_log.metrics.stuck.set(0)

    async def _decide(self, candidate: Candidate) -> None:
        verdict = judge(candidate.report.stats(), self._policy.gates)
        if verdict.decision is Decision.WAIT:
            return
        if candidate.role is Role.SHADOW:
            await self._decide_shadow(candidate, verdict.decision, list(verdict.evidence))
            return
        async with self._operation_lock.enter("the gates' decision", automatic=True):
            if verdict.decision is Decision.ROLLBACK:
                await self._transitions.take_off(candidate, verdict.why, by=BY_GATES, evidence=list(verdict.evidence))
                return
            await self._promote(candidate, list(verdict.evidence))

    async def _decide_shadow(self, candidate: Candidate, decision: Decision, evidence: list[str]) -> None:
        """A shadow that fails is ended; one that passes goes on, and whether it may answer is the operator's choice."""
        if decision is Decision.ROLLBACK:
            async with self._operation_lock.enter("the gates' decision", automatic=True):
                await self._transitions.end_trial(
                    candidate, "shadow_failed", evidence[0], by=BY_GATES, evidence=evidence
                )
        elif not candidate.passed:
            candidate.passed = True
            report = candidate.report.to_json()
            await self._decision_log.note(
                "shadow_passed", candidate.served.version, evidence[0], by=BY_GATES, evidence=evidence, report=report
            )

    async def _promote(self, candidate: Candidate, evidence: list[str]) -> None:
        report = candidate.report.to_json()
        try:
            await self._transitions.switch(
                candidate.served, "promote", evidence[0], by=BY_GATES, evidence=evidence, report=report
            )
        except (OperatorError, EngineClosed) as error:
            await self._transitions.end_trial(candidate, "stopped", f"it could not be promoted: {error}", by=BY_GATES)
            raise
