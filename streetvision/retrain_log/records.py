"""What is kept of retraining: runs, their steps, the verdicts of their gates, what they cost. Plain values.

Times are ISO 8601 in UTC, with seconds, so that they sort as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class RunState(StrEnum):
    """How a run stands, or ended."""

    RUNNING = "running"
    """Also of one that was killed, until the next run goes on with it."""
    PROMOTED = "promoted"
    """Its model serves."""
    WAITING = "waiting"
    """Its model is published and serves when the operator says so, as where no miner runs."""
    REFUSED = "refused"
    """A gate kept its model, or its labels, out."""
    ROLLED_BACK = "rolled_back"
    """Its model answered challenges and was taken back."""
    FAILED = "failed"
    STOPPED = "stopped"
    """By the operator."""
    INTERRUPTED = "interrupted"
    """By something else, such as a restart of the miner; also said of one that was killed."""
    NOTHING_TO_DO = "nothing_to_do"


TRAFFIC = "traffic"
"""Name of the gate that compares a new model with the serving one on requests, whose labels nobody knows."""


class StepName(StrEnum):
    """The steps of a run, in order."""

    COLLECT = "collect"
    LABEL = "label"
    SYNTHESISE = "synthesise"
    DATASET = "dataset"
    TRAIN = "train"
    EVALUATE = "evaluate"
    PUBLISH = "publish"
    SHADOW = "shadow"
    CANARY = "canary"
    PROMOTE = "promote"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run."""

    id: str
    """As the operator names it; also its folder's name."""
    started: str
    trigger: str
    """`command` or `schedule`."""
    state: RunState = RunState.RUNNING
    ended: str = ""
    reason: str = ""
    """Why it ended as it did: one sentence."""
    remedy: str = ""
    """For the operator; empty where there is nothing to do."""
    baseline: str = ""
    """Version that served when it began."""
    fingerprint: str = ""
    """Of the pictures that it trained on."""
    version: str = ""
    """That it published."""
    tracking_url: str = ""
    """Of its curves at W&B."""

    def shown_state(self, *, going: bool) -> str:
        """Its state in a word; `going`: whether a process works on it."""
        interrupted = self.state is RunState.RUNNING and not going
        return str(RunState.INTERRUPTED if interrupted else self.state)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of a run."""

    run: str
    name: StepName
    started: str
    ended: str = ""
    attempts: int = 1
    output: Mapping[str, Any] | None = None
    """Of JSON values; None until it is done."""
    problem: str = ""
    """Of its last attempt, as one sentence."""

    @property
    def done(self) -> bool:
        """Whether the run goes on after it."""
        return self.output is not None


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """A gate's decision on one run."""

    run: str
    step: StepName
    gate: str
    """Its name, such as `frozen_set`."""
    passed: bool
    reason: str
    """One sentence with the figures that decided."""
    time: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """All figures, as JSON values."""


@dataclass(frozen=True, slots=True)
class RefusedData:
    """Pictures whose model was refused or rolled back: not to be tried again."""

    fingerprint: str
    version: str
    """Empty where no model was published."""
    run: str
    reason: str
    time: str


@dataclass(frozen=True, slots=True)
class Spending:
    """What runs cost."""

    gpu_hours: float = 0.0
    money: float = 0.0
    """In the currency of the operator's price for a GPU hour."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The operator wants no runs for now."""

    since: str
    reason: str = ""
