"""Votes, calibration, trust and review: numbers that can be checked by hand, and a simulated oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streetvision.labelling.answer import Answer
from streetvision.labelling.calibration import Calibration, Judged, fit, label_of, measure, wilson
from streetvision.labelling.pictures import LOG, Picture
from streetvision.labelling.review import rank
from streetvision.labelling.store import Asked
from streetvision.labelling.verdicts import judge
from streetvision.labelling.votes import combine


def simulated(count: int, *, accuracy: float, certainty: float = 0.95, places: int | None = None) -> list[Judged]:
    """An oracle that always says it is that certain."""
    rng = np.random.default_rng(7)
    found = []
    for number in range(count):
        human, right = bool(rng.random() < 0.5), bool(rng.random() < accuracy)
        said = certainty if human == right else 1.0 - certainty
        found.append(Judged(said, human, str(number % (places or count))))
    return found


def picture(name: str, *, miner: float | None = None, human: bool | None = None) -> Picture:
    return Picture(name, Path(name), LOG, probability=miner, human=human)


def asked(name: str, probability: float, **said: object) -> Asked:
    answer = Answer(probability > 0.5, max(probability, 1.0 - probability), ("cone",), f"as {name}")
    return Asked(picture(name, **said), (answer,))  # type: ignore[arg-type]


def test_views_vote_by_their_certainty() -> None:
    votes = combine([Answer(True, 0.9, ("Cone", "cone"), "cones"), Answer(True, 0.6, ("fence",)), Answer(False, 0.7)])
    assert votes.probability == pytest.approx((0.9 + 0.6 + 0.3) / 3)
    assert votes.agreement == pytest.approx(2 / 3)
    assert votes.objects == ("cone", "fence")
    assert votes.remark == "cones"


def test_one_sure_view_does_not_outvote_two() -> None:
    assert combine([Answer(True, 0.99), Answer(False, 0.8), Answer(False, 0.8)]).probability < 0.5


def test_an_interval_agrees_with_the_textbook() -> None:
    assert wilson(0.1, 50) == pytest.approx((0.0435, 0.2136), abs=5e-4)
    assert wilson(0.0, 0) == (0.0, 1.0)


def test_calibration_finds_how_often_it_is_right() -> None:
    found = measure(simulated(2000, accuracy=0.8)).calibration
    assert found.probability(0.95) == pytest.approx(0.8, abs=0.03)
    assert found.probability(0.05) == pytest.approx(0.2, abs=0.03)


def test_few_labels_change_little_and_none_change_nothing() -> None:
    none = fit(np.array([]), np.array([], bool))
    few = fit(np.array([0.9]), np.array([True]))
    assert none == Calibration()
    assert abs(few.slope - 1) < 0.2
    assert fit(np.array([0.9, 0.1] * 50), np.array([False, True] * 50)).slope == 0.0


def test_trust_is_what_was_measured() -> None:
    good, bad = measure(simulated(2000, accuracy=0.97)), measure(simulated(2000, accuracy=0.7))
    few, alike = measure(simulated(20, accuracy=1.0)), measure(simulated(2000, accuracy=0.97, places=6))
    sure = 0.999
    assert good.trust(sure) == pytest.approx(1 - 2 * good.errors[True].interval[1], abs=1e-3)
    assert good.trust(sure) > 0.88 > few.trust(sure) > 0.2
    assert bad.trust(sure) < 0.42
    assert alike.trust(sure) < 0.4  # six places are six witnesses, however many pictures
    assert measure([]).trust(sure) == 0.0
    assert good.trust(0.55) == 0.0
    assert good.trust(0.7) == pytest.approx(0.4)


def test_errors_are_counted_by_class() -> None:
    cautious = [Judged(0.9 if i % 10 < 4 else 0.1, i % 10 < 5, str(i)) for i in range(500)]
    errors = measure(cautious).errors
    assert (errors[True].pictures, errors[True].wrong) == (200, 0)
    assert (errors[False].pictures, errors[False].wrong) == (300, 50)
    low, high = errors[False].interval
    assert low < 50 / 300 < high


def test_labels_are_none_where_it_is_not_sure() -> None:
    assert [label_of(p) for p in (0.39, 0.45, 0.55, 0.61)] == ["none", "unsure", "unsure", "roadwork"]


def test_pictures_in_the_prompt_neither_measure_nor_are_labelled() -> None:
    found = judge("one", [asked("a", 0.9, human=True), asked("b", 0.9)], shown={"a"})
    assert [one.picture.sha256 for one in found.pictures] == ["b"]
    assert found.measured.errors[True].pictures == 0


def test_what_a_person_should_look_at_comes_first() -> None:
    some = [
        asked("agree", 0.9, miner=0.95),
        asked("apart", 0.9, miner=0.2),
        asked("doubted", 0.97, miner=0.98, human=False),
        asked("defended", 0.97, miner=0.02, human=False),
        *(asked(f"right {i}", p, miner=p, human=p > 0.5) for i in range(60) for p in (0.03, 0.97)),
    ]
    items = rank(judge("one", some).pictures, 10)
    names = [item.verdict.picture.sha256 for item in items]
    assert set(names) == {"doubted", "apart", "defended"}
    assert names.index("doubted") == 0
    assert names.index("apart") < names.index("defended")
    assert "a person said none, the oracle says roadwork" in items[0].why
    assert len(rank(judge("one", some).pictures, 2)) == 2


def test_where_nobody_else_spoke_the_oracle_says_where_it_is_unsure() -> None:
    (item,) = rank(judge("one", [asked("unsure", 0.52), asked("sure", 0.98)]).pictures, 10)
    assert item.verdict.picture.sha256 == "unsure"
    assert item.urgency == pytest.approx(0.48)
