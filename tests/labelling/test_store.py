"""The database: what it promises about money, and what it keeps of pictures."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from streetvision.errors import OperatorError
from streetvision.labelling.answer import Answer
from streetvision.labelling.budget import cost_of, exceeded, price_warning
from streetvision.labelling.pictures import ASKED, LOG, Picture
from streetvision.labelling.schema import DATABASE, FOLDER, State
from streetvision.labelling.store import Cost, LabellingStore, Spent, asking_store
from streetvision.settings.oracle import OracleSettings

NOW = "2026-11-30T12:00:00+00:00"
RESERVED = Cost(1000, 0.5)


def test_a_question_cannot_be_opened_twice(tmp_path: Path) -> None:
    with LabellingStore(tmp_path) as store:
        store.open("one", "a", 0, RESERVED, NOW)
        with pytest.raises(sqlite3.IntegrityError):
            store.open("one", "a", 0, RESERVED, NOW)
        store.open("one", "a", 1, RESERVED, NOW)
        store.open("two", "a", 0, RESERVED, NOW)
        assert store.spent(NOW).day == Cost(3000, 1.5)


def test_what_is_set_aside_gives_way_to_what_it_took(tmp_path: Path) -> None:
    with LabellingStore(tmp_path) as store:
        numbers = [store.open("one", "a", view, RESERVED, NOW) for view in range(4)]
        store.answer(numbers[0], Answer(True, 0.9), Cost(200, 0.1))
        store.spoil(numbers[1], "cut", Cost(300, 0.2))
        store.lose(numbers[2], "gone")
        store.free(numbers[3])
        spent = store.spent(NOW)
        assert spent.day.tokens == 1500
        assert spent.day.money == pytest.approx(0.8)
        assert store.states("one") == {State.ANSWERED: 1, State.UNUSABLE: 1, State.LOST: 1}
        assert store.asked("one", "a") == {0, 1, 2}
        assert store.asked("one", "b") == set()
        assert store.mean_cost("one") == Cost(200, 0.1)


def test_days_and_months_are_counted_apart(tmp_path: Path) -> None:
    with LabellingStore(tmp_path) as store:
        for number, day in enumerate(("2026-10-31", "2026-11-01", "2026-11-29", "2026-11-30")):
            store.open("one", str(number), 0, RESERVED, f"{day}T23:59:59+00:00")
        assert store.spent(NOW) == Spent(Cost(1000, 0.5), Cost(3000, 1.5))


def test_an_answer_after_midnight_counts_for_the_day_it_was_asked(tmp_path: Path) -> None:
    with LabellingStore(tmp_path) as store:
        store.answer(store.open("one", "a", 0, RESERVED, NOW), Answer(True, 0.9), Cost(100, 0.1))
        assert store.spent("2026-12-01T00:00:01+00:00").month == Cost()
        assert store.spent(NOW).day.tokens == 100


def test_what_a_killed_process_left_open_is_lost_and_paid(tmp_path: Path) -> None:
    with LabellingStore(tmp_path) as store:
        store.open("one", "a", 0, RESERVED, NOW)
    with asking_store(tmp_path) as store:
        assert store.states("one") == {State.LOST: 1}
        assert store.spent(NOW).day == RESERVED
        with pytest.raises(OperatorError, match="another labelling is running"), asking_store(tmp_path):
            pass
        assert store.allow_lost("one") == 1
        store.open("one", "a", 0, RESERVED, NOW)
        assert store.spent(NOW).day == Cost(2000, 1.0)


def test_a_person_is_not_forgotten_nor_a_picture_moved_by_a_question(tmp_path: Path) -> None:
    known = Picture("a", Path("/log/a"), LOG, "", 0.3, human=True)
    with LabellingStore(tmp_path) as store:
        store.note([known, replace(known, sha256="b", human=None)])
        store.note([Picture("a", Path("/elsewhere"), ASKED)])
        store.note_labels({"b": False, "never asked": True})
        for name in "ab":
            store.answer(store.open("one", name, 0, RESERVED, NOW), Answer(True, 0.9), None)
        first, second = (one.picture for one in store.answered("one"))
    assert first == known
    assert second.human is False


def test_a_damaged_database_is_told(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / DATABASE).write_bytes(b"not a database, but as long as one" * 99)
    with pytest.raises(OperatorError, match="it is damaged"):
        LabellingStore(tmp_path)


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        (
            {"day_tokens": 5999},
            "5,000 of 5,999 tokens spent today",
        ),
        ({"month_tokens": 20_999}, "20,000 of 20,999 tokens spent this month"),
        (
            {"day_money": 1.4},
            "1.00 of 1.40 of money spent today, and this may take 0.50: wait, or raise",
        ),
        ({"month_money": 4.4}, "raise ORACLE_MONTH_MONEY"),
        ({"day_tokens": 6000, "month_tokens": 21_000, "day_money": 1.5, "month_money": 4.5}, ""),
        ({}, ""),
    ],
)
def test_bounds_hold_before_they_are_passed(bound: dict[str, float], said: str) -> None:
    settings = OracleSettings(url="http://a/v1", model="m", input_price=1.0, price_date="2026-11-30", **bound)  # type: ignore[arg-type]
    spent = Spent(Cost(5000, 1.0), Cost(20_000, 4.0))
    found = exceeded(settings, spent, Cost(1000, 0.5))
    assert said in found
    assert bool(said) == bool(found)


def test_prices_have_a_date() -> None:
    from datetime import date

    settings = OracleSettings(url="http://a/v1", model="m", input_price=2.0, output_price=10.0, price_date="2026-09-01")
    assert cost_of(settings, 1_000_000, 100_000) == Cost(1_100_000, 3.0)
    assert price_warning(settings, date(2026, 11, 30)) == ""
    assert "91 days ago" in price_warning(settings, date(2026, 12, 1))
    assert price_warning(OracleSettings(), date(2030, 1, 1)) == ""
