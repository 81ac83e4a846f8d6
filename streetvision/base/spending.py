"""What was spent and what bounds it, in the same words wherever money, tokens or GPU hours are spent. Pure.

Each of those who spend keeps a record of its own, in one transaction with what was paid for: so that nothing is paid
twice, whatever ends the process.
"""

from __future__ import annotations

OF_MONEY = "of money"
"""After amounts whose currency nobody named."""


def money(amount: float, currency: str = "") -> str:
    """`$1.20`, `$0.0042`; without a currency `1.20 of money`."""
    return f"{currency}{_figure(amount)}" if currency else f"{_figure(amount)} {OF_MONEY}"


def spent_of(spent: float, bound: float | None, unit: str = OF_MONEY, currency: str = "") -> str:
    """`1.25 of 5.00 of money`, `$1.25 of $5.00`, `900 of 1,000 tokens`; without a bound the amount alone."""
    most = "" if bound is None else f" of {currency}{_figure(bound)}"
    return f"{currency}{_figure(spent)}{most}" + ("" if currency else f" {unit}")


def beyond(
    spent: float,
    more: float,
    bound: float | None,
    setting: str,
    *,
    period: str = "this month",
    unit: str = OF_MONEY,
    currency: str = "",
) -> str:
    """Why so much more may not be spent, as a sentence with a remedy; empty where it may.

    `setting` sets the bound: its variable, where the commands that meet the bound do not take it as a flag.
    """
    if bound is None or spent + more <= bound:
        return ""
    next_one = f", and this may take {currency}{_figure(more)}" if more else ""
    return f"{spent_of(spent, bound, unit, currency)} spent {period}{next_one}: wait, or raise {setting}"


def _figure(amount: float) -> str:
    if isinstance(amount, int):
        return f"{amount:,}"
    return f"{amount:,.2f}" if abs(amount) >= 0.1 or amount == 0 else f"{amount:.4f}"
