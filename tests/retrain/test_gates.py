from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streetvision.evaluation.predictions import Answers, sample_of
from streetvision.evaluation.reward import Assumptions
from streetvision.retrain.gates import (
    FROZEN,
    LATEST,
    NEW_LABELS,
    NOT_WORSE,
    Gate,
    Outcome,
    Standards,
    judge,
    judge_frozen,
    judge_labels,
    judge_latest,
    judge_traffic,
)
from streetvision.sources.dataset import Example

SHORT = Assumptions(challenges=100)
STANDARDS = Standards()


def pictures(count: int = 200, *, groups: int = 50, **tags: str) -> list[Example]:
    return [
        Example(Path(f"{n}.jpg"), n % 2 == 0, f"g{n % groups}", "test", source="one", tags={"light": _light(n), **tags})
        for n in range(count)
    ]


def _light(number: int) -> str:
    return "night" if number % 4 < 2 else "day"


def answers(some: list[Example], wrong: set[int]) -> Answers:
    logits = [(1.0 if one.label else -1.0) * (-1.0 if n in wrong else 1.0) for n, one in enumerate(some)]
    return Answers("1.0.0", tuple(some), sample_of(some, logits))


def scattered(count: int, of: int = 200, seed: int = 0) -> set[int]:
    return set(np.random.default_rng(seed).permutation(of)[:count].tolist())


def test_a_gain_beyond_noise_passes() -> None:
    some = pictures()
    gate = judge_frozen(answers(some, scattered(10)), answers(some, scattered(60, seed=1)), STANDARDS, SHORT)
    assert (gate.outcome, gate.improved) == (Outcome.PASSED, True)
    assert judge([gate], STANDARDS).accepted
    assert gate.figures["differences"]["accuracy"]["low"] > 0


def test_a_loss_beyond_noise_is_refused() -> None:
    some = pictures()
    gate = judge_frozen(answers(some, scattered(60, seed=1)), answers(some, scattered(10)), STANDARDS, SHORT)
    assert gate.outcome is Outcome.REFUSED
    said = judge([gate], Standards(accept=NOT_WORSE))
    assert not said.accepted
    assert said.why.startswith("the frozen set: it is worse: accuracy -25.0%")


def test_what_may_lose_more_than_is_allowed_is_refused_without_proof_of_a_loss() -> None:
    some = pictures(40, groups=10)
    ours, theirs = answers(some, {1, 2}), answers(some, {3, 4})
    gate = judge_frozen(ours, theirs, STANDARDS, SHORT)
    assert gate.figures["verdict"] == "undecided"
    assert gate.outcome is Outcome.REFUSED
    assert "accuracy may fall by" in gate.why
    assert judge_frozen(ours, theirs, Standards(max_loss=0.5), SHORT).outcome is Outcome.PASSED


def test_a_few_groups_tell_nothing() -> None:
    some = pictures(groups=4)
    gate = judge_frozen(answers(some, set()), answers(some, scattered(60)), STANDARDS, SHORT)
    assert gate.outcome is Outcome.REFUSED
    assert "fewer than 5 groups" in gate.why


def test_a_part_that_loses_is_refused_whatever_the_whole_gains() -> None:
    some = pictures()
    night = {n for n, one in enumerate(some) if one.tags["light"] == "night"}
    ours, theirs = answers(some, set(sorted(night)[:30])), answers(some, set(range(200)) - night)
    gate = judge_frozen(ours, theirs, STANDARDS, SHORT)
    assert gate.figures["verdict"] == "better"
    assert gate.outcome is Outcome.REFUSED
    assert gate.why == "it is worse where light is night"


def test_one_unlucky_part_among_many_is_no_loss() -> None:
    """Six pictures of one small part are p = .03 by themselves, and not when twelve parts were looked at."""
    some = [
        Example(Path(f"{n}.jpg"), n % 2 == 0, f"g{n % 60}", "test", source="one", tags={"city": f"c{n % 12}"})
        for n in range(240)
    ]
    lost = {n for n in range(240) if n % 12 == 3 and n < 72}
    gained = {n for n in range(240) if n % 12 != 3 and n >= 232}
    gate = judge_frozen(answers(some, lost), answers(some, gained), Standards(max_loss=0.2), SHORT)
    assert gate.outcome is Outcome.PASSED


def test_equal_models_are_accepted_only_where_not_worse_is_enough() -> None:
    some = pictures(400, groups=100)
    same = answers(some, scattered(20, of=400))
    gates = [judge_frozen(same, same, STANDARDS, SHORT), judge_latest(same, same, SHORT)]
    assert [gate.outcome for gate in gates] == [Outcome.PASSED, Outcome.PASSED]
    assert judge(gates, STANDARDS).why == "no set shows it to be better beyond noise, and retrain.accept wants that"
    assert judge(gates, Standards(accept=NOT_WORSE)).accepted


def test_a_gain_on_the_latest_labels_counts_while_the_frozen_set_holds() -> None:
    some, new = pictures(400, groups=100), pictures(60, groups=30)
    frozen = judge_frozen(answers(some, {1}), answers(some, {1}), STANDARDS, SHORT)
    latest = judge_latest(answers(new, {5}), answers(new, set(range(20))), SHORT)
    assert judge([frozen, latest], STANDARDS).accepted
    assert not judge([latest], STANDARDS).accepted


def test_no_held_out_label_is_not_judged_and_refuses_nothing() -> None:
    nothing = answers([], set())
    gate = judge_latest(nothing, nothing, SHORT)
    assert gate.outcome is Outcome.UNJUDGED
    passed = Gate(FROZEN, Outcome.PASSED, "it is better", improved=True)
    assert judge([passed, gate], STANDARDS).accepted


def test_only_pictures_that_both_answered_count() -> None:
    some = pictures()
    ours = answers(some, scattered(60))
    part = ours.sample.part(np.arange(200) < 100)
    gate = judge_latest(Answers("2", tuple(some[:100]), part), answers(some, scattered(60)), SHORT)
    assert gate.figures["pictures"] == 100


@pytest.mark.parametrize(("flips", "outcome"), [(0, Outcome.PASSED), (60, Outcome.PASSED), (120, Outcome.REFUSED)])
def test_traffic_is_judged_as_the_miner_will(flips: int, outcome: Outcome) -> None:
    old = np.full(1000, 0.45)
    new = np.where(np.arange(1000) < flips, 0.55, 0.45)
    assert judge_traffic(new, old, STANDARDS).outcome is outcome


def test_traffic_whose_probabilities_move_far_is_refused() -> None:
    old = np.full(100, 0.9)
    assert judge_traffic(old - 0.3, old, STANDARDS).outcome is Outcome.REFUSED
    assert judge_traffic(old[:10] - 0.3, old[:10], STANDARDS).outcome is Outcome.UNJUDGED


def labels_and_answers(
    count: int, flipped: float, served: float, probed: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of which a share is wrong, with a model and a probe that are right so often."""
    rng = np.random.default_rng(5)
    truth = rng.random(count) < 0.5

    def said(share: float) -> np.ndarray:
        return np.where(truth ^ (rng.random(count) >= share), 0.9, 0.1)

    return truth ^ (rng.random(count) < flipped), said(served), said(probed)


@pytest.mark.parametrize("count", [60, 200])
def test_half_of_the_labels_flipped_is_refused(count: int) -> None:
    gate = judge_labels(*labels_and_answers(count, 0.5, 0.95, 0.9), STANDARDS)
    assert gate.outcome is Outcome.REFUSED
    assert gate.name == NEW_LABELS


@pytest.mark.parametrize("count", [60, 200])
def test_so_is_it_where_the_probe_learned_from_nothing_else(count: int) -> None:
    """A probe over turned-round labels alone is a coin, so that it contradicts too few of them."""
    gate = judge_labels(*labels_and_answers(count, 0.5, 0.95, 0.5), STANDARDS)
    assert gate.outcome is Outcome.REFUSED


def test_hard_pictures_are_not_taken_for_wrong_labels() -> None:
    """The serving model errs on four of ten, as it would on what was picked for being hard."""
    assert judge_labels(*labels_and_answers(200, 0.0, 0.6, 0.8), STANDARDS).outcome is Outcome.PASSED


def test_labels_that_no_probe_knows_are_not_judged() -> None:
    labels, served, _ = labels_and_answers(100, 0.5, 0.9, 0.9)
    assert judge_labels(labels, served, np.full(100, np.nan), STANDARDS).outcome is Outcome.UNJUDGED


def test_the_first_refusal_is_told() -> None:
    gates = [Gate(FROZEN, Outcome.PASSED, "fine", improved=True), Gate(LATEST, Outcome.REFUSED, "it is worse: x")]
    assert judge(gates, STANDARDS).why == "the latest labels: it is worse: x"
