"""One run from the question whether it should be to its end, with every other process kept out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from streetvision.base.state_folder import only_one
from streetvision.errors import OperatorError
from streetvision.retrain.facts import Check, CountLabels, gather, with_labels
from streetvision.retrain.pipeline import Pipeline
from streetvision.retrain.planning import Plan, Unfinished, make_plan
from streetvision.retrain.retention import tidy
from streetvision.retrain.step import LOOK_S, Clock, Context, Failed, Step, Tell
from streetvision.retrain_log.reader import RetrainReader
from streetvision.retrain_log.records import RunRecord, RunState, StepName
from streetvision.retrain_log.schema import FOLDER, LOCK
from streetvision.retrain_log.store import RetrainStore
from streetvision.settings.settings import Settings

SCHEDULE, COMMAND = "schedule", "command"
"""What begins a run."""


@dataclass(frozen=True)
class Parts:
    """What is done in a run, by those who know how."""

    steps: Mapping[StepName, Step]
    """In order."""
    abandon: Callable[[Context], None]
    """Takes back what a run that is given up left in the running miner; raises OperatorError."""
    check: Check
    count_labels: CountLabels
    baseline: Callable[[Settings], str]
    """The version that serves; empty where none is known."""


@dataclass(frozen=True)
class Asked:
    """What the operator or the schedule wants."""

    trigger: str = COMMAND
    force: bool = False
    """Set aside what may be."""
    fresh: bool = False
    """Leave an unfinished run behind."""


@dataclass(frozen=True)
class Result:
    """How it went."""

    plan: Plan
    run: RunRecord | None
    """None where the plan said no."""


@dataclass(frozen=True)
class Surroundings:
    """What a run needs of the outside."""

    clock: Clock
    tell: Tell
    signalled: Callable[[], bool]
    """Whether a signal asked this process to end."""


def retrain(asked: Asked, settings: Settings, parts: Parts, around: Surroundings) -> Result:
    """Plan, and do what the plan says; raises OperatorError when another run is going or the log cannot be used."""
    store, clock = RetrainStore(settings.state_dir / FOLDER), around.clock
    with only_one(store.folder, LOCK, remedy=_remedy(store)):
        facts = gather(settings, store, parts.check, now=clock.now(), alone=True)
        plan = make_plan(facts, settings.retrain, fresh=asked.fresh)
        if plan.goes(force=asked.force) and plan.resumes is None:
            plan = make_plan(
                with_labels(facts, settings, store, parts.count_labels), settings.retrain, fresh=asked.fresh
            )
        if not plan.goes(force=asked.force):
            _note_refusal(plan, asked, store, clock.now())
            return Result(plan, None)
        stop = StopLooks(store, around.signalled, clock.monotonic)
        pipeline = Pipeline(parts.steps, settings, store, clock, around.tell, stop)
        if facts.unfinished is not None and plan.resumes is None:
            _give_up(facts.unfinished, plan.gives_up, pipeline, parts)
        run = _resumed(plan.resumes, store) or _begun(asked, settings, parts, store, clock.now())
        stop.run = run.id
        around.tell({"event": "run", "run": run.id, "resumed": plan.resumes is not None})
        ended = pipeline.carry_out(run)
        _tidy(settings, store, around.tell)
        return Result(plan, ended)


class StopLooks:
    """Whether a run is to stop: a signal came, or the operator said so in the log, which is read once a second."""

    def __init__(self, store: RetrainReader, signalled: Callable[[], bool], monotonic: Callable[[], float]) -> None:
        self.run = ""
        self._store, self._signalled, self._monotonic = store, signalled, monotonic
        self._next = monotonic()
        self._asked = False

    def __call__(self) -> bool:
        """Look."""
        if self._signalled():
            return True
        if self.run and self._monotonic() >= self._next:
            self._next = self._monotonic() + LOOK_S
            self._asked = self._store.stop_asked(self.run)
        return self._asked


def _tidy(settings: Settings, store: RetrainStore, tell: Tell) -> None:
    """After the run; what cannot be removed changes nothing about how it ended."""
    try:
        tidy(settings.state_dir, store)
    except OperatorError as error:
        tell({"event": "warning", "why": str(error)})


def _remedy(log: RetrainReader) -> str:
    holder = log.process()
    who = f"process {holder} works on it; " if holder is not None else ""
    return f"{who}let it finish, or end it with `streetvision retrain stop`"


def _note_refusal(plan: Plan, asked: Asked, store: RetrainStore, now: str) -> None:
    """The history tells why a night went by; an operator at a terminal reads it there."""
    if asked.trigger != SCHEDULE:
        return
    state = RunState.FAILED if plan.faulty else RunState.NOTHING_TO_DO
    reason = "; ".join(one.reason for one in plan.unmet())
    remedy = "; ".join(one.change for one in plan.unmet() if one.change)
    store.add(RunRecord(new_id(store, now), now, asked.trigger, state, ended=now, reason=reason, remedy=remedy))


def _give_up(left: Unfinished, why: str, pipeline: Pipeline, parts: Parts) -> None:
    parts.abandon(pipeline.context(left.run, left.step, pipeline.store.outputs(left.run.id)))
    end = Failed(f"it was given up: {why}")
    ended = replace(left.run, state=end.state, ended=pipeline.clock.now(), reason=end.reason, remedy="")
    pipeline.store.end(ended)


def _resumed(left: Unfinished | None, store: RetrainStore) -> RunRecord | None:
    if left is None:
        return None
    store.reopen(left.run.id)
    return store.run(left.run.id)


def _begun(asked: Asked, settings: Settings, parts: Parts, store: RetrainStore, now: str) -> RunRecord:
    run = RunRecord(new_id(store, now), now, asked.trigger, baseline=parts.baseline(settings))
    store.add(run)
    return run


def new_id(log: RetrainReader, now: str) -> str:
    """A name that no run has: the day and the minute."""
    base = f"{now[:10].replace('-', '')}-{now[11:16].replace(':', '')}"
    names = (base if number == 1 else f"{base}-{number}" for number in range(1, 1000))
    return next(name for name in names if log.run(name) is None)
