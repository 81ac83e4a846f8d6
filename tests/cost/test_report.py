"""The estimate in the terminal and as a page: it says what was measured, loads nothing, and escapes what is given."""

from __future__ import annotations

import re
from dataclasses import replace

from streetvision.cost.bills import Question
from streetvision.cost.estimate import Estimate, estimate
from streetvision.cost.prices import read_prices
from streetvision.cost.report_page import STYLES, render_page
from streetvision.cost.report_text import dollars, estimate_text
from streetvision.cost.speeds import read_speeds
from streetvision.cost.traffic import steady

HOSTILE = "<script>alert(1)</script>\x1b[2J"


def found(rate: float = 0.05, title: str = "") -> Estimate:
    prices = read_prices()
    if title:
        machines = {name: replace(one, title=title, source=title) for name, one in prices.machine.items()}
        prices = replace(prices, machine=machines)
    return estimate(Question(6, "l4", "base", 1), steady(rate), read_speeds(), prices, None)


def test_the_text_tells_traffic_speeds_and_bills_in_80_columns() -> None:
    text = estimate_text(found())
    assert "6 miners, each with 0.05 requests a second" in text
    assert "(scaled, not measured)" in text
    assert "(measured)" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "a card for each miner" in text


def test_a_way_that_cannot_is_explained() -> None:
    text = estimate_text(found(rate=20.0))
    assert re.search(r"a CPU machine for each miner +- at most 8.11 requests a second", text)


def test_nothing_possible_is_still_a_report() -> None:
    assert "at most" in estimate_text(found(rate=5000.0))
    assert "No way carries this traffic" in render_page(found(rate=5000.0), 0.0)


def test_the_page_loads_nothing_and_escapes_titles() -> None:
    page = render_page(found(title=HOSTILE), 1_790_000_000.0)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=(?!\"#main)", page)
    assert STYLES in page
    assert "\x1b" not in estimate_text(found(title=HOSTILE))


def test_dollars() -> None:
    assert [dollars(value) for value in (None, 0.0, 3.14159, 1234.5, -30.0)] == [
        "-",
        "$0.00",
        "$3.14",
        "$1,234",
        "-$30",
    ]
