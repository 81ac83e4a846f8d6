"""Talking with the running miner about one version: its own gates decide, and retraining waits and reads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from streetvision.control.client import SOCKET_NAME, MinerStarting, NotRunning, call
from streetvision.errors import OperatorError
from streetvision.retrain.step import Context, Interrupted, RolledBack, RunEnd, Stopped, Waiting
from streetvision.rollout.journal import BY_OPERATOR, BY_RETRAINING

PATIENCE_S = 180.0
"""Longest wait for a miner that starts, or that is being restarted."""
SHADOW, CANARY = "shadow", "canary"
_GOING = (SHADOW, CANARY, "shadow_passed")
"""Last events of a trial that nobody ended."""

Fields = Mapping[str, Any]


class Trial:
    """One version in the running miner."""

    def __init__(self, context: Context, version: str) -> None:
        self.version = version
        self._context = context
        self._socket = context.settings.state_dir / SOCKET_NAME

    def ask(self, op: str, **arguments: Any) -> Fields:  # noqa: ANN401 - JSON values
        """Have the miner do something; raises Waiting when none runs, OperatorError for what it refuses."""
        until = self._context.clock.monotonic() + PATIENCE_S
        while True:
            try:
                return call(self._socket, op, arguments, self._tell)
            except (NotRunning, MinerStarting) as error:
                if self._context.clock.monotonic() >= until:
                    raise self.waiting(str(error), "start the miner") from error
            self._context.wait(self._context.poll_s)

    def status(self) -> Fields:
        """Everything about the miner's models; raises RolledBack where the version was taken off."""
        found = self.ask("status")
        if (mark := found["bad"].get(self.version)) is not None:
            raise RolledBack(
                f"the miner took version {self.version} off: {mark['why']}",
                f"`streetvision models canary {self.version} --force` tries it once more",
            )
        return found

    def serves(self, status: Fields) -> bool:
        """Whether the version is the active one."""
        return bool(status["active"]["version"] == self.version)

    def tried_as(self, status: Fields, role: str) -> bool:
        """Whether a trial of it is going on."""
        candidate = status["candidate"]
        return candidate is not None and (candidate["version"], candidate["role"]) == (self.version, role)

    def last_word(self, status: Fields) -> Fields:
        """The newest decision about the version; empty where there is none."""
        return next((one for one in reversed(status["decisions"]) if one["version"] == self.version), {})

    def lost(self, status: Fields) -> RunEnd:
        """For a trial that ended without a verdict: after a restart of the miner the next run begins it again."""
        last = self.last_word(status)
        if (last.get("event"), last.get("by")) == ("stopped", BY_OPERATOR):
            return self.waiting("you ended its trial", "look at it")
        why = "the miner was restarted" if last.get("event") in _GOING else last.get("why", "the miner says no more")
        return Interrupted(f"the trial of version {self.version} ended without a verdict: {why}")

    def waiting(self, why: str, remedy: str) -> Waiting:
        """The version is there, and the operator decides."""
        return Waiting(
            f"version {self.version} is in the registry and does not serve: {why}",
            f"{remedy}; let it serve with `streetvision models canary {self.version}` or `models swap {self.version}`",
        )

    def end(self) -> None:
        """End the trial without a verdict, where one is going on and the miner can be asked."""
        with suppress(OperatorError):
            status = call(self._socket, "status")
            if any(self.tried_as(status, role) for role in (SHADOW, CANARY)):
                call(self._socket, "stop_shadow", {"by": BY_RETRAINING})

    def wait(self, status: Fields) -> None:
        """Tell how far the trial is and wait until it is time to look again; a stopped run ends the trial with it."""
        self._tell_samples(status["candidate"])
        try:
            self._context.wait(self._context.poll_s)
        except Stopped:
            self.end()
            raise

    def _tell_samples(self, candidate: Fields) -> None:
        done, total = candidate["report"]["samples"], self._context.settings.rollout.min_samples
        what = f"{candidate['role']} of {self.version}, images"
        self._context.tell({"event": "progress", "what": what, "done": done, "total": max(total, done)})

    def _tell(self, progress: Fields) -> None:
        if progress:
            self._context.tell(
                {"event": "miner", **{name: value for name, value in progress.items() if name != "event"}}
            )
