"""A run's page: what it says, that it needs nothing else, that nothing from outside is markup."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streetvision.retrain.run_charts import curve
from streetvision.retrain.run_page import POLICY, STYLES, RunStory, render_run
from streetvision.retrain_log.records import GateVerdict, RunRecord, RunState, Spending, StepName, StepRecord

from ..evaluation.test_report import HOSTILE, NOW, Reader

BEGAN, ENDED = "2026-11-30T02:00:00+00:00", "2026-11-30T03:30:00+00:00"
RUN = RunRecord(
    "20261130-0200", BEGAN, "schedule", RunState.REFUSED, ENDED, "night fell by 0.1", "label more nights",
    baseline="1.0.0", fingerprint="ab12",
)  # fmt: skip
STEPS = (
    StepRecord(
        RUN.id,
        StepName.DATASET,
        BEGAN,
        ENDED,
        1,
        {"fingerprint": "ab12", "splits": {"train": {"new": 9}, "val": {"new": 1, "old": ""}}},
    ),
    StepRecord(RUN.id, StepName.EVALUATE, BEGAN, ENDED, 2, None, "night fell by 0.1"),
)
FIGURES = {"differences": {"mcc": {"value": 0.02, "low": -0.01, "high": 0.05}, "auc": {"value": None}}, "p_value": 0.25}
VERDICTS = (
    GateVerdict(RUN.id, StepName.EVALUATE, "frozen_set", True, "not worse", ENDED, FIGURES),
    GateVerdict(RUN.id, StepName.EVALUATE, "slices", False, "night fell", ENDED),
    GateVerdict(RUN.id, StepName.EVALUATE, "traffic", True, "too little", ENDED, {"outcome": "unjudged"}),
)
VALIDATIONS = [{"step": step, "auc": 0.8 + step / 100, "mcc": float("nan")} for step in (1, 2, 3)]
STORY = RunStory(RUN, STEPS, VERDICTS, Spending(1.5, 3.0), VALIDATIONS)


def test_the_page_tells_the_decision_the_gates_what_went_in_and_the_cost() -> None:
    page = Reader(render_run(STORY, NOW))
    for text in (
        "Retraining 20261130-0200", "Night fell by 0.1.", "Label more nights.", "1 h 30 min", "1.0.0", "ab12", "1.50",
        "3.00", "Frozen set", "+0.020", "-0.010", "+0.050", "MCC", "0.25", "passed", "refused", "unjudged",
        "train: new 9; val: new 1", "not done", "AUC on val", "0.810 at first, 0.830 at last", "too few validations",
    ):  # fmt: skip
        assert text in page.text, text
    assert page.text.count("–") == 3, "a figure without a value has a dash, and no number that looks like one"


def test_the_page_needs_nothing_else_and_says_so_to_the_browser() -> None:
    written = render_run(STORY, NOW)
    page = Reader(written)
    assert page.loads == []
    assert "script" not in page.tags
    assert POLICY in written.replace("&#x27;", "'")
    assert written.count("<style>") == 1
    assert STYLES in written


def test_nothing_from_outside_is_markup() -> None:
    verdict = GateVerdict(
        RUN.id, StepName.EVALUATE, HOSTILE, False, HOSTILE, ENDED, {HOSTILE: HOSTILE, "differences": {HOSTILE: {}}}
    )
    step = replace(STEPS[0], output={HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]}, problem=HOSTILE)
    run = replace(RUN, reason=HOSTILE, remedy=HOSTILE, version=HOSTILE, tracking_url=HOSTILE, baseline=HOSTILE)
    written = render_run(RunStory(run, [step], [verdict], Spending()), NOW)
    assert "<script" not in written
    assert "script" not in Reader(written).tags


@pytest.mark.parametrize("state", RunState)
def test_every_state_has_a_page(state: RunState) -> None:
    story = RunStory(RunRecord("x", BEGAN, "command", state), (), (), Spending(), going=True)
    page = Reader(render_run(story, NOW))
    assert str(state).replace("_", " ") in page.text.lower()
    assert "Gates" not in page.text


def test_a_curve_of_one_value_is_a_line_and_one_point_is_none() -> None:
    flat = curve("AUC", [(1, 1.0), (2, 1.0)])
    assert "M52.0 83.0L446.0 83.0" in flat
    assert "too few validations" in curve("AUC", [(1, 1.0), (2, float("inf"))])


def test_a_run_that_nobody_works_on_is_not_running() -> None:
    story = RunStory(RunRecord("x", BEGAN, "command"), (), (), Spending())
    assert "Interrupted." in Reader(render_run(story, NOW)).text
