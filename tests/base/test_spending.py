"""One wording for what was spent, whatever it was."""

from __future__ import annotations

import pytest

from streetvision.base.spending import beyond, money, spent_of


def test_amounts_of_every_kind() -> None:
    assert [money(one) for one in (0.0, 0.0042, 1234.5)] == ["0.00 of money", "0.0042 of money", "1,234.50 of money"]
    assert [money(one, "$") for one in (0.0, 0.0042, 0.1)] == ["$0.00", "$0.0042", "$0.10"]
    assert spent_of(900, 1000, "tokens") == "900 of 1,000 tokens"
    assert spent_of(1.25, 5.0, currency="$") == "$1.25 of $5.00"
    assert spent_of(1.25, None) == "1.25 of money"


@pytest.mark.parametrize("bound", [None, 3.0])
def test_what_does_not_pass_the_bound_is_no_sentence(bound: float | None) -> None:
    assert beyond(1.0, 2.0, bound, "X") == ""


def test_what_passes_it_says_so_and_what_to_do() -> None:
    found = beyond(1.0, 2.5, 3.0, "X_BUDGET", period="today", currency="$")
    assert found == "$1.00 of $3.00 spent today, and this may take $2.50: wait, or raise X_BUDGET"
    assert beyond(3.1, 0.0, 3.0, "X", unit="GPU hours") == "3.10 of 3.00 GPU hours spent this month: wait, or raise X"
