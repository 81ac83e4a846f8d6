"""What is not as it should be is said, a sentence each."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from streetvision.cli.retrain_rehearse import report_page
from streetvision.rehearsal.report import BEFORE, WITH, WITH_BY_DAY, WITHOUT, Ending, Figures, Report
from streetvision.rehearsal.stream import Stream
from streetvision.retrain_log.records import RunState


def figures(reward: float) -> Figures:
    return Figures("1.0.0", 150, 0.8, 0.6, reward)


GOOD = Report(
    figures={BEFORE: figures(0.9), WITHOUT: figures(0.2), WITH: figures(0.5), WITH_BY_DAY: figures(0.9)},
    asked=dict.fromkeys(("day", "night", "training", "after"), Stream().summary()),
    endings=(
        Ending("improvement", (RunState.PROMOTED,), RunState.PROMOTED, "version 1.1.0 serves", 60.0),
        Ending("poison", (RunState.REFUSED,), RunState.REFUSED, "the new labels look wrong", 20.0),
    ),
    lost=0,
    miner_exit=0,
    seconds=600.0,
)


def test_a_good_rehearsal_has_no_problems() -> None:
    assert GOOD.problems == []
    page = report_page(GOOD)
    assert "the loop is worth +0.300 of reward here; it took" in page
    assert "not as it should be" not in page
    assert json.loads(json.dumps(asdict(GOOD)))["endings"][1]["state"] == "refused"


def test_each_thing_that_went_wrong_is_named() -> None:
    promoted = replace(GOOD.endings[1], state=RunState.PROMOTED, reason="version 1.2.0 serves")
    bad = replace(GOOD, endings=(promoted,), lost=3, miner_exit=1, figures={**GOOD.figures, WITH: figures(0.2)})
    assert bad.problems == [
        "the run `poison` ended promoted: version 1.2.0 serves",
        "the model that retraining made earns no more than the one before",
        "3 challenges got no answer",
        "the miner ended with exit code 1",
    ]
    assert report_page(bad).count("not as it should be: ") == 4
