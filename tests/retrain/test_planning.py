"""Whether a run begins, which one, and what would change that: a table of facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streetvision.retrain.planning import Facts, Unfinished, make_plan, unfinished
from streetvision.retrain_log.records import Pause, RunRecord, RunState, Spending, StepName, StepRecord
from streetvision.settings.retrain import RetrainSettings

NOW = "2026-11-30T02:00:00+00:00"
WANTED = RetrainSettings(datasets="streets", frozen="held", min_labels=100)
FINE = Facts(now=NOW, labels=100)
RUN = RunRecord("20261129-0200", "2026-11-29T02:00:00+00:00", "schedule")


def test_a_run_begins_where_all_conditions_are_met() -> None:
    plan = make_plan(FINE, WANTED)
    assert plan.goes()
    assert (plan.unmet(), plan.resumes, plan.gives_up) == ((), None, "")
    assert [one.name for one in plan.conditions] == [
        *("configured", "installed", "fit", "alone", "unpaused", "subnet", "labels")
    ]


@pytest.mark.parametrize(
    ("facts", "name", "reason", "change", "forcible"),
    [
        (replace(FINE, labels=99), "labels", "99 new labels", "label 1 more", True),
        (replace(FINE, labels=1), "labels", "1 new label;", "label 99 more", True),
        (replace(FINE, labels=None, labels_problem="there is no dataset"), "labels", "no dataset", "readable", False),
        (replace(FINE, halt="100 % is burned"), "subnet", "halted: 100 % is burned", "wait", True),
        (replace(FINE, pause=Pause("2026-11-20T00:00:00+00:00", "holidays")), "unpaused", "holidays", "resume", True),
        (replace(FINE, running=42), "alone", "process 42", "retrain stop", False),
        (replace(FINE, unfit="there is no recipe x: choose"), "fit", "no recipe x", "", False),
        (replace(FINE, missing="lightning"), "installed", "lightning is missing", "pip install", False),
    ],
)
def test_one_condition_that_is_not_met_keeps_a_run_from_beginning(
    facts: Facts, name: str, reason: str, change: str, forcible: bool
) -> None:
    plan = make_plan(facts, WANTED)
    (unmet,) = plan.unmet()
    assert unmet.name == name
    assert reason in unmet.reason
    assert change in unmet.change
    assert not plan.goes()
    assert plan.goes(force=True) is forcible


@pytest.mark.parametrize(
    ("wanted", "lacking"),
    [
        (RetrainSettings(mine=False), "--retrain.datasets and --retrain.frozen are not set"),
        (RetrainSettings(), "--retrain.frozen is not set"),
        (RetrainSettings(datasets="a"), "--retrain.frozen is not set"),
        (RetrainSettings(frozen="a", mine=False), "--retrain.datasets is not set"),
    ],
)
def test_without_data_no_run_begins(wanted: RetrainSettings, lacking: str) -> None:
    plan = make_plan(FINE, wanted)
    assert plan.unmet()[0].reason == lacking
    assert plan.faulty
    assert not plan.goes(force=True)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (WANTED, "streets and what you labelled with `streetvision mine`, and is judged on held"),
        (RetrainSettings(datasets="a,b", frozen="c,d,e", mine=False), "a and b, and is judged on c, d and e"),
        (RetrainSettings(datasets="a", frozen="c", mine=False), "a and is judged on c"),
    ],
)
def test_the_sets_are_listed_as_people_do(wanted: RetrainSettings, said: str) -> None:
    assert make_plan(FINE, wanted).conditions[0].reason == f"it learns from {said}"


@pytest.mark.parametrize(
    ("spent", "unmet"),
    [
        (Spending(9.99, 99.9), []),
        (Spending(10.0, 0.0), ["gpu_hours"]),
        (Spending(0.0, 100.0), ["budget"]),
        (Spending(11.0, 101.0), ["gpu_hours", "budget"]),
    ],
)
def test_the_months_budget_bounds_runs_even_by_force(spent: Spending, unmet: list[str]) -> None:
    wanted = replace(WANTED, gpu_hours=10.0, gpu_price=2.0, budget=100.0)
    plan = make_plan(replace(FINE, spent=spent), wanted)
    assert [one.name for one in plan.unmet()] == unmet
    assert plan.goes(force=True) == (not unmet)


def test_an_unfinished_run_goes_on_without_new_labels() -> None:
    left = Unfinished(RUN, StepName.TRAIN, 1)
    plan = make_plan(replace(FINE, labels=0, unfinished=left), WANTED)
    assert plan.goes()
    assert (plan.resumes, plan.gives_up) == (left, "")


@pytest.mark.parametrize(
    ("left", "fresh", "why"),
    [
        (Unfinished(RUN, StepName.TRAIN, 4), False, "its step train was begun 4 times"),
        (Unfinished(replace(RUN, started="2026-11-28T01:59:59+00:00"), StepName.TRAIN, 0), False, "48 hours ago"),
        (Unfinished(RUN, StepName.TRAIN, 0), True, "fresh"),
    ],
)
def test_an_unfinished_run_is_given_up_when_it_is_old_or_fails_again_and_again(
    left: Unfinished, fresh: bool, why: str
) -> None:
    facts = replace(FINE, unfinished=left)
    plan = make_plan(facts, WANTED, fresh=fresh)
    assert why in plan.gives_up
    assert plan.resumes is None
    assert not make_plan(replace(facts, labels=0), WANTED, fresh=fresh).goes(), "a new run needs new labels"


@pytest.mark.parametrize("state", RunState)
def test_only_a_run_without_a_decision_is_unfinished(state: RunState) -> None:
    left = unfinished(replace(RUN, state=state), ())
    assert (left is not None) == (state in (RunState.RUNNING, RunState.STOPPED, RunState.INTERRUPTED, RunState.FAILED))


def test_a_run_goes_on_with_the_first_step_that_is_not_done() -> None:
    done = StepRecord(RUN.id, StepName.COLLECT, RUN.started, RUN.started, output={})
    half = StepRecord(RUN.id, StepName.LABEL, RUN.started, attempts=2)
    assert unfinished(RUN, ()) == Unfinished(RUN, StepName.COLLECT, 0)
    assert unfinished(RUN, (done,)) == Unfinished(RUN, StepName.LABEL, 0)
    assert unfinished(RUN, (done, half)) == Unfinished(RUN, StepName.LABEL, 2)
    assert unfinished(None, ()) is None
