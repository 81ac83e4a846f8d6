"""A run does its steps in order, keeps what they gave, ends in one decision and goes on where it ended."""

from __future__ import annotations

import errno
import os

import pytest

from streetvision.errors import OperatorError
from streetvision.retrain.pipeline import RUNS, poll_s
from streetvision.retrain.step import Context, Interrupted, NothingToDo, Output, Refused, RolledBack, RunEnd, Waiting
from streetvision.retrain_log.records import RunRecord, RunState, Spending, StepName
from streetvision.settings.retrain import RetrainSettings

from .fakes import World, marking, once

ALL = [str(name) for name in StepName]


def ended(world: World) -> RunRecord:
    run = world.run().run
    assert run is not None
    assert run == world.store.run(run.id)
    return run


def test_every_step_is_done_once_and_in_order(world: World) -> None:
    run = ended(world)
    assert (run.state, run.reason, run.ended) == (RunState.PROMOTED, "version 1.0.1 serves", world.time.now())
    assert (run.baseline, run.fingerprint, run.version) == ("1.0.0", "ab12", "1.0.1")
    assert world.marks() == ALL
    assert all(step.done and step.attempts == 1 for step in world.store.steps(run.id))


def test_a_step_is_given_the_outputs_of_the_earlier_ones_and_the_run_as_it_stands(world: World) -> None:
    seen: list[Context] = []

    def train(context: Context) -> Output:
        seen.append(context)
        return {}

    world.steps[StepName.TRAIN] = train
    run = ended(world)
    (context,) = seen
    assert list(context.outputs) == list(StepName)[:4]
    assert context.outputs[StepName.DATASET] == {"fingerprint": "ab12"}
    assert context.run.fingerprint == "ab12"
    assert context.folder == world.store.folder / RUNS / run.id
    assert context.attempt == 1


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (Refused("the frozen set fell by 0.04"), RunState.REFUSED),
        (RolledBack("it answered worse", "look at the labels"), RunState.ROLLED_BACK),
        (Waiting("no miner runs", "streetvision models swap 1.0.1"), RunState.WAITING),
        (NothingToDo("no new pictures"), RunState.NOTHING_TO_DO),
    ],
)
def test_a_step_may_end_the_run(world: World, end: RunEnd, state: RunState) -> None:
    world.steps[StepName.SHADOW] = once(end, marking(StepName.SHADOW))
    run = ended(world)
    assert (run.state, run.reason, run.remedy) == (state, end.reason, end.remedy)
    assert world.marks() == ALL[: ALL.index("shadow")]
    assert (world.store.refused("ab12") is not None) == (state in (RunState.REFUSED, RunState.ROLLED_BACK))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OperatorError("the hub is away: try later"), "the hub is away: try later"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/b"), "/a/b: no space left on device"),
    ],
)
def test_a_failed_run_goes_on_at_the_step_that_failed(world: World, error: Exception, said: str) -> None:
    world.steps[StepName.TRAIN] = once(error, marking(StepName.TRAIN))
    failed = ended(world)
    assert (failed.state, failed.reason) == (RunState.FAILED, said)
    assert "goes on" in failed.remedy
    step = world.store.steps(failed.id)[-1]
    assert (step.name, step.problem, step.done) == (StepName.TRAIN, said, False)
    done = ended(world)
    assert (done.id, done.state) == (failed.id, RunState.PROMOTED)
    assert world.marks() == ALL
    assert {step.name: step.attempts for step in world.store.steps(done.id)}[StepName.TRAIN] == 2


def test_a_defect_ends_the_run_and_is_raised(world: World) -> None:
    world.steps[StepName.TRAIN] = once(ZeroDivisionError(), marking(StepName.TRAIN))
    with pytest.raises(ZeroDivisionError):
        world.run()
    run = world.store.latest()
    assert run is not None
    assert (run.state, run.reason) == (
        RunState.FAILED,
        "a defect in the step train (ZeroDivisionError): please report it",
    )


def test_an_interrupted_run_is_no_failure_and_is_gone_on_with(world: World) -> None:
    world.steps[StepName.CANARY] = once(Interrupted("the miner was restarted"), marking(StepName.CANARY))
    broken = ended(world)
    assert (broken.state, broken.reason) == (RunState.INTERRUPTED, "the miner was restarted")
    done = ended(world)
    assert (done.id, done.state) == (broken.id, RunState.PROMOTED)
    assert world.marks() == ALL


def test_a_signal_stops_the_run_before_its_next_step(world: World) -> None:
    world.signalled = lambda: "train" in world.marks()
    stopped = ended(world)
    assert (stopped.state, stopped.reason) == (RunState.STOPPED, "you stopped it")
    assert world.marks()[-1] == "train"
    world.signalled = lambda: False
    assert ended(world).state is RunState.PROMOTED
    assert world.marks() == ALL


def test_a_step_that_waits_is_stopped_by_the_operators_word_in_the_log(world: World) -> None:
    def canary(context: Context) -> Output:
        context.store.ask_to_stop(context.run.id, context.clock.now())
        context.wait(3600)
        raise AssertionError("it waited to the end")

    world.steps[StepName.CANARY] = canary
    assert ended(world).state is RunState.STOPPED
    assert world.time.seconds < 5


def test_what_a_step_decides_and_spends_is_kept_whatever_becomes_of_it(world: World) -> None:
    def evaluate(context: Context) -> Output:
        context.decide("frozen_set", passed=True, reason="MCC rose by 0.02")
        context.decide("slices", passed=False, reason="night fell by 0.1", evidence={"night": -0.1})
        context.spend(0.5, 1.25)
        raise Refused("night fell by 0.1")

    world.steps[StepName.EVALUATE] = evaluate
    run = ended(world)
    verdicts = world.store.verdicts(run.id)
    assert [(one.gate, one.passed) for one in verdicts] == [("frozen_set", True), ("slices", False)]
    assert verdicts[1].evidence == {"night": -0.1}
    assert world.store.spent("2026-11") == Spending(0.5, 1.25)


def test_events_bear_the_run_and_the_step(world: World) -> None:
    run = ended(world)
    begun = [event for event in world.events if event["event"] == "step"]
    assert [event["step"] for event in begun] == ALL
    assert {event["run"] for event in begun} == {run.id}


def test_a_short_trial_is_looked_at_more_often() -> None:
    assert poll_s(RetrainSettings()) == 5.0
    assert poll_s(RetrainSettings(shadow_minutes=1.0)) == 0.6
    assert poll_s(RetrainSettings(shadow_minutes=0.0, canary_minutes=5.0)) == 3.0
    assert poll_s(RetrainSettings(shadow_minutes=0.02)) == 0.2
