"""Which replica a batch goes to, and how many there should be."""

from __future__ import annotations

import pytest

from streetvision.cluster.ranking import tiers, wanted

GIB = 2**30


def test_warm_replicas_come_first_by_when_they_are_done() -> None:
    reports = [
        {"work": 0.3, "versions": ["1.0"]},
        {"work": 0.0, "versions": ["0.9"]},
        {"work": 0.1, "versions": ["1.0", "0.9"]},
    ]
    assert tiers(reports, "1.0") == [[2], [0], [1]]


def test_replicas_that_are_done_together_are_equal() -> None:
    reports = [{"work": work, "versions": ["1.0"]} for work in (0.104, 0.1, 0.2)]
    assert tiers(reports, "1.0") == [[1, 0], [2]]


def test_of_cold_ones_the_one_with_memory_to_spare() -> None:
    reports = [{"free": 2 * GIB}, {"free": 40 * GIB}, {"free": 40 * GIB + 5}, {}]
    assert tiers(reports, "1.0") == [[1, 2], [0], [3]]


def test_nobody_has_reported_yet() -> None:
    assert tiers([{}, {}], "1.0") == [[0, 1]]
    assert tiers([], "1.0") == []


@pytest.mark.parametrize(
    ("now", "batches", "work", "expected"),
    [
        (1, 3.0, [0.1], 1),
        (1, 9.0, [0.1], 3),
        (1, 90.0, [0.1], 4),
        (2, 1.0, [0.1, 1.2], 3),
        (4, 1.0, [9.0], 4),
        (0, 0.0, [], 0),
        (0, 1.0, [], 1),
        (3, 0.0, [0.0], 0),
    ],
)
def test_as_many_as_the_load_needs_and_one_more_while_one_is_late(
    now: int, batches: float, work: list[float], expected: int
) -> None:
    assert wanted(now, batches, work, target=4.0, least=0, most=4) == expected
