"""How long a miner that ends waits for its next start, and when its operator hears of it."""

from __future__ import annotations

from streetvision.fleet.attempts import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, TOLD_AFTER, Attempts


def test_the_pause_doubles_up_to_its_longest() -> None:
    attempts = Attempts()
    pauses = [attempts.ended(0.0, failed=True) for _ in range(9)]
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_miner_that_served_steadily_begins_anew() -> None:
    attempts = Attempts()
    for _ in range(5):
        attempts.ended(STEADY_S - 1, failed=True)
    assert attempts.failures == 5
    assert attempts.ended(STEADY_S, failed=True) == FIRST_PAUSE_S
    assert attempts.failures == 1


def test_an_orderly_end_is_no_failure() -> None:
    attempts = Attempts(failures=2)
    assert attempts.ended(0.0, failed=False) == FIRST_PAUSE_S
    assert attempts.failures == 2


def test_the_operator_is_told_once_and_told_of_the_recovery_once() -> None:
    attempts = Attempts()
    told = []
    for _ in range(TOLD_AFTER + 2):
        attempts.ended(0.0, failed=True)
        told.append(attempts.is_to_be_told())
    assert told == [False] * (TOLD_AFTER - 1) + [True, False, False]
    assert attempts.serves_again()
    assert not attempts.serves_again()
    attempts.ended(0.0, failed=True)
    assert not attempts.is_to_be_told()
