"""Numbers as an operator reads them."""

from __future__ import annotations

import pytest

from streetvision.base.wording import clipped, listed, took

TWO, FOUR = "2026-11-30T02:00:00+00:00", "2026-11-30T04:05:00+00:00"


@pytest.mark.parametrize(("items", "said"), [(("a",), "a"), (("a", "b"), "a and b"), (("a", "b", "c"), "a, b and c")])
def test_things_are_listed_as_people_do(items: tuple[str, ...], said: str) -> None:
    assert listed(items) == said


@pytest.mark.parametrize(
    ("started", "ended", "said"), [(TWO, FOUR, "2 h 5 min"), (TWO, "", "-"), (FOUR, TWO, "0 s"), (TWO, TWO, "0 s")]
)
def test_a_clock_that_was_set_back_makes_no_negative_time(started: str, ended: str, said: str) -> None:
    assert took(started, ended) == said


@pytest.mark.parametrize(("text", "said"), [("", ""), ("four", "four"), ("fives", "fiv…")])
def test_a_text_is_clipped_to_its_room_with_the_ellipsis(text: str, said: str) -> None:
    assert clipped(text, 4) == said
