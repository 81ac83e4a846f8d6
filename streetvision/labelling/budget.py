"""What questions cost, and when they have cost enough. Pure."""

from __future__ import annotations

from datetime import date

from streetvision.base.spending import beyond
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
    for name, when, used, tokens, money in (
        ("ORACLE_DAY", "today", spent.day, settings.day_tokens, settings.day_money),
        ("ORACLE_MONTH", "this month", spent.month, settings.month_tokens, settings.month_money),
    ):
        of_tokens = beyond(used.tokens, next_one.tokens, tokens, f"{name}_TOKENS", period=when, unit="tokens")
        if why := of_tokens or beyond(used.money, next_one.money, money, f"{name}_MONEY", period=when):
            return why
    return ""


def price_warning(settings: OracleSettings, today: date) -> str:
    """Where the prices may have changed; empty where not."""
    if not settings.is_priced:
        return ""
    age = (today - date.fromisoformat(settings.price_date)).days
    if age <= OLD_DAYS:
        return ""
    return f"the prices are of {settings.price_date}, {age} days ago: look them up, and set --oracle.price_date"
