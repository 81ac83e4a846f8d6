"""Old answers against new ones: pure arithmetic, and the text made of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from streetvision.engine.types import ServedBy
from streetvision.prediction_log.comparison import Answered, Replayed, Tally, compare, comparison_fields
from streetvision.prediction_log.replay_report import nothing_replayed, replay_report, summary_fields

ROW = Answered(1, 1_790_000_000.0, "5Grwva", 12, "ab" * 32, "1.0.0", 1, 0.25, "1.0.0", 1, 0.25)


def moved(id: int, old: float | None, new: float, *, old_model: str = "1.0.0", new_model: str = "2.0.0") -> Answered:
    return replace(ROW, id=id, old=old, new=new, old_model=old_model, new_model=new_model)


def test_the_same_numbers_are_a_reproduction() -> None:
    comparison = compare([ROW, replace(ROW, id=2)], tolerance=0.0)
    same = comparison.reproduction
    assert same is not None
    assert (same.rows, same.exact, same.beyond, same.largest, same.good) == (2, 2, 0, 0.0, True)
    assert comparison.changes == ()


@pytest.mark.parametrize(("new", "good"), [(0.25 + 1e-9, True), (0.25 - 1e-3, False)])
def test_the_tolerance_decides_what_is_the_same(new: float, good: bool) -> None:
    same = compare([ROW, replace(ROW, new=new)], tolerance=1e-5).reproduction
    assert same is not None
    assert (same.exact, same.good, same.beyond) == (1, good, 0 if good else 1)
    assert same.largest == pytest.approx(abs(new - 0.25))


def test_a_change_counts_flips_both_ways_and_names_the_biggest_movers() -> None:
    answers = [moved(1, 0.1, 0.2), moved(2, 0.4, 0.9), moved(3, 0.8, 0.1), moved(4, 0.9, 0.95), moved(5, 0.5, 0.51)]
    comparison = compare(answers, tolerance=1e-5, movers=2)
    assert comparison.reproduction is None
    (change,) = comparison.changes
    assert (change.none_none, change.none_roadwork, change.roadwork_none, change.roadwork_roadwork) == (1, 2, 1, 1)
    assert (change.rows, change.flips) == (5, 3)
    assert change.agreement == pytest.approx(0.4)
    shifts = np.array([0.1, 0.5, -0.7, 0.05, 0.01])
    assert change.mean_shift == pytest.approx(shifts.mean())
    assert change.mean_distance == pytest.approx(np.abs(shifts).mean())
    assert change.p95_distance == pytest.approx(np.percentile(np.abs(shifts), 95))
    assert [answer.id for answer in change.movers] == [3, 2]


def test_only_what_moved_is_a_mover() -> None:
    """Rounding moves every answer a little; the tolerance says what counts."""
    still = [moved(id, 0.3, 0.3 + 1e-7) for id in range(2, 20)]
    (change,) = compare([moved(1, 0.3, 0.30003), *still], tolerance=1e-5).changes
    assert (change.moved, [answer.id for answer in change.movers]) == (1, [1])
    text = replay_report(Replayed("2.0.0", "cpu"), compare([moved(1, 0.3, 0.30003), *still], tolerance=1e-5))
    assert "answers that changed: 1; the biggest movers:" in text
    assert "+3e-05" in text
    assert "+0.0000" not in text.partition("movers:")[2]
    assert (
        "answers that changed: 1\n"
        in replay_report(Replayed("2.0.0", "cpu"), compare([moved(1, 0.3, 0.30003)], tolerance=1e-5, movers=0)) + "\n"
    )
    text = replay_report(Replayed("2.0.0", "cpu"), compare(still, tolerance=1e-5))
    assert text.endswith("  no answer changed")
    (fields,) = comparison_fields(compare(still, tolerance=1e-5))["changes"]
    assert (fields["moved"], fields["movers"]) == (0, [])


def test_each_older_model_is_compared_by_itself_and_unanswered_rows_with_nothing() -> None:
    answers = [moved(1, 0.1, 0.2, old_model="0.9.0"), moved(2, 0.1, 0.3), ROW, moved(4, None, 0.7, old_model="")]
    comparison = compare(answers, tolerance=0.0)
    assert [(change.old_model, change.rows) for change in comparison.changes] == [("0.9.0", 1), ("1.0.0", 1)]
    assert comparison.reproduction is not None
    assert comparison.unanswered == 1


def test_other_views_are_another_answer() -> None:
    comparison = compare([replace(ROW, new_views=4, new=0.3)], tolerance=0.0)
    assert comparison.reproduction is None
    assert comparison.changes[0].rows == 1
    assert "1.0.0 (other views) -> 1.0.0 (now)" in replay_report(Replayed("1.0.0", "cpu"), comparison)


def test_a_router_says_why_its_second_model_answered_then_and_now() -> None:
    asked = replace(ROW, old_views=2, new_views=2, old_router="asked", new_router="asked")
    hurried = replace(asked, id=2, old_views=1, old_router="no_time", new=0.75)
    elsewhere = replace(asked, id=3, old_model="0.9.0")
    comparison = compare([asked, replace(asked, id=4), hurried, elsewhere, ROW], tolerance=1e-5)
    assert [(one.then, one.now, one.rows) for one in comparison.routing] == [
        ("asked", "asked", 2),
        ("no_time", "asked", 1),
    ]
    assert comparison.reproduction is not None and comparison.reproduction.good
    text = replay_report(Replayed("1.0.0", "cpu"), comparison)
    assert "  no_time  asked            1" in text
    assert comparison_fields(comparison)["routing"][1] == {"then": "no_time", "now": "asked", "rows": 1}
    assert "second model" not in replay_report(Replayed("1.0.0", "cpu"), compare([ROW], tolerance=1e-5))


def test_the_report_fits_a_terminal_and_says_what_is_left_out() -> None:
    tally = Tally(Counter(evicted=1200, gone=3), Counter(bad_image=1))
    answers = [ROW, moved(99999, 0.1, 0.9), moved(3, None, 0.5, old_model="")]
    text = replay_report(Replayed("2.0.0", "cpu", answers, tally), compare(answers, tolerance=1e-5))
    assert max(map(len, text.splitlines())) <= 80
    assert "without an image, so left out: 1,203 (1,200 evicted, 3 gone)" in text
    assert "refused by the engine: 1 (1 bad_image)" in text
    assert "had no answer to compare with: 1" in text
    assert "reproduced: none is further away than 1e-05" in text
    assert "+0.8000" in text


def test_the_report_says_when_the_log_is_not_reproduced() -> None:
    text = replay_report(Replayed("1.0.0", "cpu"), compare([replace(ROW, new=0.3)], tolerance=1e-5))
    assert "NOT reproduced: 1 are further away than 1e-05" in text


def test_the_summary_has_the_same_figures() -> None:
    answers = [ROW, moved(7, 0.1, 0.9)]
    comparison = compare(answers, tolerance=1e-5)
    fields = summary_fields(Replayed("2.0.0", "cpu", answers, Tally(Counter(evicted=1))), comparison)
    assert fields["without_image"] == {"evicted": 1}
    assert fields["reproduction"]["reproduced"] is True
    assert fields["changes"][0]["confusion"] == {
        "none": {"none": 0, "roadwork": 1},
        "roadwork": {"none": 0, "roadwork": 0},
    }
    assert fields["changes"][0]["movers"] == [7]
    assert comparison_fields(comparison).items() <= fields.items()


def test_a_replay_records_what_computed() -> None:
    """So that two of them can be compared afterwards."""
    served = ServedBy("openvino", "cpu", "int8", "int8 passes its gate", 2)
    done = Replayed("2.0.0", "cpu", [ROW], served_by=(served,))
    comparison = compare([ROW], tolerance=1e-5)
    assert "computed by openvino in int8" in replay_report(done, comparison).splitlines()
    [told] = summary_fields(done, comparison)["served_by"]
    assert (told["runner"], told["precision"], told["reason"]) == ("openvino", "int8", "int8 passes its gate")


def test_nothing_to_replay_is_explained() -> None:
    assert nothing_replayed(Tally()) == "nothing was replayed: no answered row passes the filters"
    assert nothing_replayed(Tally(Counter(evicted=2))) == "nothing was replayed: 2 (2 evicted) without an image"
