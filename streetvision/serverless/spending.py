"""A bound on what the app costs in a calendar month, by Modal's own bill and the worst since that was made. Pure.

Modal's bill tells of whole hours. Since then as many containers as are allowed may have run: that much is added, so
that the bound holds whatever has happened meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

LOOK_S = 900.0
"""The bill is looked up so often while requests come."""


@dataclass(frozen=True, slots=True)
class Bill:
    """Of the app, from the month's begin."""

    usd: float
    until: datetime
    """The end of the last whole hour that it covers."""


class SpendingCap:
    """Whether the month's money is spent; told the time and the bill by its caller."""

    def __init__(self, month_usd: float, worst_per_s: float, now: Callable[[], datetime]) -> None:
        """`worst_per_s`: dollars a second when all containers run."""
        self.month_usd = month_usd
        self.worst_per_s = worst_per_s
        self.now = now
        self._bill = Bill(0.0, now())
        """Until the first look nothing is known of earlier spending, and the worst is taken of our own."""
        self._looked: datetime | None = None

    def take_turn(self) -> bool:
        """Whether the bill is to be looked up again; whoever is told so does it, and the next turn is LOOK_S later."""
        now = self.now()
        if self._looked is not None and (now - self._looked).total_seconds() < LOOK_S:
            return False
        self._looked = now
        return True

    def learn(self, bill: Bill) -> None:
        """What the bill says."""
        self._bill = bill

    @property
    def at_most(self) -> float:
        """Dollars of this month, at most."""
        now = self.now()
        since = max(self._bill.until, month_begin(now))
        billed = self._bill.usd if self._bill.until > month_begin(now) else 0.0
        return billed + max(0.0, (now - since).total_seconds()) * self.worst_per_s

    @property
    def is_reached(self) -> bool:
        """Whether no more may be spent."""
        return self.at_most >= self.month_usd


def month_begin(now: datetime) -> datetime:
    """The first moment of a moment's month, UTC."""
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def last_hour(now: datetime) -> datetime:
    """The end of the last whole hour, UTC."""
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hours_left(now: datetime) -> float:
    """Of a moment's month."""
    begin = month_begin(now)
    following = month_begin(begin + timedelta(days=32))
    return (following - now.astimezone(UTC)).total_seconds() / 3600
