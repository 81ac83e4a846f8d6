"""Runs begin where the plan says so, one at a time; what is left behind is gone on with or given up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streetvision.base.state_folder import only_one
from streetvision.errors import OperatorError
from streetvision.retrain.planning import RESUME_ATTEMPTS
from streetvision.retrain.running import SCHEDULE, Asked
from streetvision.retrain.step import Context, Output
from streetvision.retrain_log.records import RunState, StepName
from streetvision.retrain_log.schema import LOCK
from streetvision.settings.settings import Settings

from .fakes import FakeTime, World


def failing(context: Context) -> Output:
    raise OperatorError("no network")


def test_without_labels_a_command_says_why_and_writes_no_run(world: World) -> None:
    world.labels = lambda: 3
    result = world.run()
    assert result.run is None
    assert [one.name for one in result.plan.unmet()] == ["labels"]
    assert world.store.runs() == ()
    assert world.run(Asked(force=True)).run is not None


def test_a_night_without_a_run_stands_in_the_history(world: World) -> None:
    world.labels = lambda: 3
    world.store.pause("2026-11-01T00:00:00+00:00")
    assert world.run(Asked(SCHEDULE)).run is None
    (noted,) = world.store.runs()
    assert (noted.state, noted.trigger) == (RunState.NOTHING_TO_DO, SCHEDULE)
    assert (noted.reason, noted.remedy) == ("you paused retraining on 2026-11-01", "`streetvision retrain resume`")
    world.store.unpause()
    assert world.run(Asked(SCHEDULE)).run is None
    assert "3 new labels" in world.store.runs()[0].reason
    assert world.store.latest_begun() is None


def test_a_fault_is_a_failure_in_the_history_and_nothing_to_go_on_with(world: World) -> None:
    def no_recipe(settings: Settings) -> None:
        raise OperatorError("there is no recipe x: choose quick")

    world.check = no_recipe
    assert world.run(Asked(SCHEDULE, force=True)).run is None
    (noted,) = world.store.runs()
    assert (noted.state, noted.reason) == (RunState.FAILED, "there is no recipe x: choose quick")
    world.check = lambda _: None
    world.labels = lambda: 3
    assert world.run().run is None, "what never began is not resumed past the labels"


def test_labels_are_counted_only_where_they_decide(world: World) -> None:
    counts = []

    def count() -> int:
        counts.append(1)
        return 99

    world.labels = count
    world.store.pause("2026-11-01T00:00:00+00:00")
    assert world.run().run is None
    world.store.unpause()
    world.steps[StepName.TRAIN] = failing
    assert world.run().run is not None
    assert len(counts) == 1
    assert world.run().run is not None, "it goes on with the failed one"
    assert len(counts) == 1


def test_a_night_without_a_run_does_not_hide_the_unfinished_one(world: World) -> None:
    world.steps[StepName.TRAIN] = failing
    failed = world.run().run
    world.time.sleep(3600)
    world.store.pause("2026-11-01T00:00:00+00:00")
    assert world.run(Asked(SCHEDULE)).run is None
    world.store.unpause()
    again = world.run().run
    assert failed is not None
    assert again is not None
    assert again.id == failed.id


def test_two_runs_never_overlap(world: World) -> None:
    with (
        only_one(world.store.folder, LOCK),
        pytest.raises(
            OperatorError, match=r"process \d+ works on it; let it finish, or end it with `streetvision retr"
        ),
    ):
        world.run()
    assert world.store.runs() == ()
    assert world.run().run is not None


def test_a_run_that_fails_in_the_same_step_again_and_again_is_given_up(world: World) -> None:
    world.steps[StepName.SHADOW] = failing
    ids = [run.id for _ in range(RESUME_ATTEMPTS) if (run := world.run().run)]
    assert len(set(ids)) == 1
    world.time.sleep(60)
    fresh = world.run().run
    assert fresh is not None
    assert fresh.id != ids[0]
    given_up = world.store.run(ids[0])
    assert given_up is not None
    assert given_up.state is RunState.FAILED
    assert given_up.reason == "it was given up: its step shadow was begun 4 times and never done"
    (context,) = world.abandoned
    assert (context.run.id, context.outputs[StepName.PUBLISH]) == (ids[0], {"version": "1.0.1"})


def test_an_interrupted_run_that_is_too_old_is_given_up(world: World) -> None:
    world.steps[StepName.TRAIN] = failing
    old = world.run().run
    world.time.sleep(49 * 3600)
    new = world.run().run
    assert old is not None
    assert new is not None
    assert new.id != old.id
    assert [run.id for run in world.store.runs()] == [new.id, old.id]
    assert "more than 48 hours ago" in (world.store.run(old.id) or old).reason


def test_what_cannot_be_taken_back_keeps_the_next_run_from_beginning(world: World) -> None:
    world.steps[StepName.TRAIN] = failing
    world.run()

    class Stuck(list[Context]):
        def append(self, context: Context) -> None:
            raise OperatorError("the miner says nothing: restart it")

    world.abandoned = Stuck()
    with pytest.raises(OperatorError, match="restart it"):
        world.run(Asked(fresh=True))
    assert len(world.store.runs()) == 1


def test_runs_of_one_minute_have_different_names(world: World) -> None:
    ids = [run.id for _ in range(3) if (run := world.run().run)]
    assert ids == ["20261130-0200", "20261130-0200-2", "20261130-0200-3"]


def test_unreadable_datasets_are_told_as_the_reason(world: World) -> None:
    def broken() -> int:
        raise OperatorError("there is no dataset 'streets': add it")

    world.labels = broken
    assert world.run().plan.unmet()[0].reason == "there is no dataset 'streets': add it"


def test_spending_of_the_month_before_does_not_count(world: World) -> None:
    world.wanted = replace(world.wanted, gpu_hours=1.0)

    def train(context: Context) -> Output:
        context.spend(1.0, 0.0)
        return {}

    world.steps[StepName.TRAIN] = train
    assert world.run().run is not None
    assert [one.name for one in world.run().plan.unmet()] == ["gpu_hours"]
    world.time = FakeTime(24 * 3600.0)
    assert world.run().run is not None
