"""What questions cost, and when they have cost enough. Pure."""

from __future__ import annotations

from datetime import date
from math import inf

from streetvision.labelling.store import Cost, Spent
from streetvision.settings.oracle import OracleSettings

OLD_DAYS = 90
"""Prices that were looked up longer ago are told."""
_MILLION = 1e6


def cost_of(settings: OracleSettings, question_tokens: int, answer_tokens: int) -> Cost:
    """Of one question, by the prices of today."""
    money = question_tokens * settings.input_price + answer_tokens * settings.output_price
    return Cost(question_tokens + answer_tokens, money / _MILLION)


def exceeded(settings: OracleSettings, spent: Spent, next_one: Cost) -> str:
    """Which bound the next question would pass, as a sentence with a remedy; empty while none."""
    bounds = (
        ("day_tokens", "tokens are used today", spent.day.tokens, next_one.tokens, settings.day_tokens),
        ("month_tokens", "tokens are used this month", spent.month.tokens, next_one.tokens, settings.month_tokens),
        ("day_money", "is spent today", spent.day.money, next_one.money, settings.day_money),
        ("month_money", "is spent this month", spent.month.money, next_one.money, settings.month_money),
    )
    for name, words, used, more, bound in bounds:
        if used + more > (inf if bound is None else bound):
            return f"{_amount(used)} {words}, and --oracle.{name} is {_amount(bound)}: wait, or raise it"
    return ""


def price_warning(settings: OracleSettings, today: date) -> str:
    """Where the prices may have changed; empty where not."""
    if not settings.is_priced:
        return ""
    age = (today - date.fromisoformat(settings.price_date)).days
    if age <= OLD_DAYS:
        return ""
    return f"the prices are of {settings.price_date}, {age} days ago: look them up, and set --oracle.price_date"


def _amount(value: float | None) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
