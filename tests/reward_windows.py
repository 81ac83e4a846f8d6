"""Windows of challenges and the reward of each, worked out by hand from the validators' rule."""

from __future__ import annotations

Challenge = tuple[bool, float | None]
"""The truth, and the miner's answer; None for a silence."""

YES, NO, LATE = 0.9, 0.1, None
WINDOWS: list[tuple[str, list[Challenge], float]] = [
    ("nothing asked yet", [], 0.0),
    ("silence alone", [(True, LATE)] * 12, 0.0),
    ("one right answer: no correlation of one class", [(True, YES)], 0.5**3),
    ("eight silences, then one right of each class", [(True, LATE)] * 8 + [(True, YES), (False, NO)], 1.0),
    # The short window: 8 silences, a wrong and a right one. The long one besides: wrong, right; tp 1, tn 1, fp 1, fn 1.
    (
        "before them a wrong and a right one",
        [(True, NO), (True, YES), *[(True, LATE)] * 8, (False, YES), (False, NO)],
        0.25**3,
    ),
    ("ten silences empty the short window alone", [(True, YES), (False, NO), *[(True, LATE)] * 10], 0.5**3),
    ("a hundred silences empty both", [(True, YES), (False, NO), *[(True, LATE)] * 100], 0.0),
    ("98 leave two answers in the long one", [(True, YES), (False, NO), *[(True, LATE)] * 98], 0.5**3),
    ("99 leave one answer in it, of one class", [(True, YES), (False, NO), *[(True, LATE)] * 99], 0.0),
    ("labels of one class", [(True, YES), (True, NO)], 0.25**3),
    ("answers of one class", [(True, YES), (False, YES)], 0.25**3),
    ("a negative correlation counts as 0", [(True, NO), (False, YES)], 0.0),
    # Short window: 9 of 10 right. Long one: tp 9, tn 1, fn 1, fp 1 -> MCC (9 - 1) / sqrt(10 * 10 * 2 * 2) = 0.4.
    (
        "a wrong answer outside of the short window",
        [(False, NO), (False, YES), *[(True, YES)] * 9, (True, NO)],
        (0.5 * 0.4 + 0.5 * 0.9) ** 3,
    ),
]
