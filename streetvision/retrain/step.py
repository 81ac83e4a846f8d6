"""The seam between the pipeline, which runs steps in order and resumes, and the steps, which do the work.

A step is a function of its Context. It returns its output, JSON values that later steps and the pages read; keys of
`retrain_log.store.OF_THE_RUN` (baseline, fingerprint, version, tracking_url) become fields of the run. The output is
committed with the mark that the step is done: until then a step may be killed anywhere and is called again in the same
folder, so it goes on with, or clears away, what it finds there. What a step that is done left behind stays.

A step ends its run by raising: OperatorError (failed; the next run goes on at this step), Refused, RolledBack, Waiting,
NothingToDo, Interrupted, or Stopped, which `check_stop` and `wait` raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from streetvision.retrain_log.records import GateVerdict, RunRecord, RunState, Spending, StepName
from streetvision.retrain_log.store import RetrainStore
from streetvision.settings.settings import Settings

Output = Mapping[str, Any]
"""JSON values by name; no NaN."""
Tell = Callable[[Mapping[str, Any]], None]
"""Hears what happens as fields that JSON can hold; `event` says what it is."""
LOOK_S = 1.0
"""Seconds between two looks at whether the run is to stop, while a step waits."""


GOES_ON = "the next run goes on where this one ended; `streetvision retrain run` begins it now"


class RunEnd(Exception):
    """The run ends here; `reason` is one sentence, `remedy` what the operator may do."""

    state: ClassVar[RunState]

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class Refused(RunEnd):
    """A gate said no: these pictures, and the version made of them, are not tried again."""

    state = RunState.REFUSED


class RolledBack(RunEnd):
    """The new version answered challenges and was taken back; not tried again either."""

    state = RunState.ROLLED_BACK


class Waiting(RunEnd):
    """The new version is in the registry, and it is the operator's turn."""

    state = RunState.WAITING


class NothingToDo(RunEnd):
    """Nothing new to learn from."""

    state = RunState.NOTHING_TO_DO


class Stopped(RunEnd):
    """The operator ended the run; the next one goes on at this step."""

    state = RunState.STOPPED

    def __init__(self) -> None:
        super().__init__("you stopped it", GOES_ON)


class Interrupted(RunEnd):
    """Something that is no fault came between; the next run goes on at this step."""

    state = RunState.INTERRUPTED

    def __init__(self, reason: str) -> None:
        super().__init__(reason, GOES_ON)


class Failed(RunEnd):
    """The pipeline's word for an OperatorError."""

    state = RunState.FAILED

    def __init__(self, reason: str) -> None:
        super().__init__(reason, GOES_ON)


class Promoted(RunEnd):
    """The pipeline's word for a run whose steps are all done."""

    state = RunState.PROMOTED

    def __init__(self, version: str) -> None:
        super().__init__(f"version {version} serves")


@dataclass(frozen=True)
class Clock:
    """Time, as a run asks for it."""

    now: Callable[[], str]
    """ISO 8601 in UTC, with seconds."""
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True)
class Context:
    """What a step is given."""

    settings: Settings
    run: RunRecord
    """As it stands in the log, with what earlier steps added."""
    name: StepName
    """The step that it is given to."""
    folder: Path
    """The run's own, `<state_dir>/retrain/runs/<id>`; each step may make files and folders that bear its name."""
    store: RetrainStore
    outputs: Mapping[StepName, Output]
    """Of the earlier steps."""
    clock: Clock
    tell: Tell = lambda _: None
    stop: Callable[[], bool] = lambda: False
    """Whether the operator wants the run to end; a step that takes long asks every second or two."""
    attempt: int = 1
    """1 where the step was not begun before."""
    poll_s: float = 5.0
    """Seconds between two looks at how a trial in the running miner stands."""

    def check_stop(self) -> None:
        """Raise Stopped if the operator wants the run to end."""
        if self.stop():
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Sleep; raises Stopped as soon as the operator wants the run to end."""
        until = self.clock.monotonic() + seconds
        self.check_stop()
        while (left := until - self.clock.monotonic()) > 0:
            self.clock.sleep(min(left, LOOK_S))
            self.check_stop()

    def decide(self, gate: str, *, passed: bool, reason: str, evidence: Output | None = None) -> None:
        """Note a gate's verdict; the step raises Refused itself, after all its gates have spoken."""
        self.store.add_verdict(
            GateVerdict(self.run.id, self.name, gate, passed, reason, self.clock.now(), evidence or {})
        )

    def spend(self, gpu_hours: float, money: float) -> None:
        """Count a cost as it arises, each part once: a killed step must not lose what it spent."""
        self.store.spend(self.run.id, self.name, Spending(gpu_hours, money), self.clock.now())


Step = Callable[[Context], Output]
