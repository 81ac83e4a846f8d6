"""The whole answer: all ways at traffic below and above what there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from streetvision.cost.bills import Bill, Place, Question, bills, place
from streetvision.cost.prices import Prices
from streetvision.cost.speeds import CPU, Speed, Speeds
from streetvision.cost.traffic import Here, Traffic
from streetvision.errors import OperatorError

FACTORS = (0.25, 1.0, 4.0, 16.0)
OLD_DAYS = 365
"""Prices that were seen longer ago are told of."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bills by the factor of the traffic, and what they rest on."""

    place: Place
    here: Here | None
    by_factor: Mapping[float, list[Bill]]

    @property
    def now(self) -> list[Bill]:
        """At the traffic that there is."""
        return self.by_factor[1.0]


def estimate(question: Question, traffic: Traffic, speeds: Speeds, prices: Prices, here: Here | None) -> Estimate:
    """Raises OperatorError for a card, a model or a price that is not known."""
    at = place(question, traffic, speeds, prices)
    return Estimate(at, here, {factor: bills(replace(at, traffic=traffic.times(factor))) for factor in FACTORS})


def with_measured(speeds: Speeds, here: Here | None, device: str, model: str) -> Speeds:
    """The speeds with the log's in place of the table's, for the device that this machine has; raises OperatorError."""
    speeds.of(device, model)
    if here is None:
        raise OperatorError("--measured_on takes the log's figures, and the log holds no answer: leave it away")
    own = replace(
        speeds.device[device],
        source="this machine's log",
        one_ms={**speeds.device[device].one_ms, model: here.seconds * 1e3},
        many_per_s={**speeds.device[device].many_per_s, model: 1 / here.seconds},
    )
    return replace(speeds, device={**speeds.device, device: own})


def aged(prices: Prices, today: date) -> str:
    """A warning about old prices; empty when none is."""
    days = (today - prices.oldest()).days
    if days <= OLD_DAYS:
        return ""
    return f"the oldest price was seen on {prices.oldest()}: check those that matter to you (--show_prices)"


def estimate_fields(found: Estimate) -> dict[str, Any]:
    """As JSON values; money in US dollars, rates in requests a second."""
    at = found.place
    return {
        "hotkeys": at.question.hotkeys,
        "model": at.question.model,
        "traffic": {
            "told": at.traffic.told,
            "mean_per_s": at.traffic.mean,
            "peak_per_s": at.traffic.peak,
            "requests_month": at.traffic.month,
            "hourly_per_s": list(at.traffic.hourly),
        },
        "measured_here_s": None if found.here is None else found.here.seconds,
        "speeds": {CPU: _speed_fields(at.on_front), at.question.card: _speed_fields(at.on_card)},
        "bills": [{"factor": factor, **_bill_fields(bill)} for factor, row in found.by_factor.items() for bill in row],
        "oldest_price": str(at.prices.oldest()),
    }


def _speed_fields(speed: Speed) -> dict[str, Any]:
    return {
        "one_ms": speed.one_s * 1e3,
        "many_per_s": speed.per_s,
        "measured": speed.measured,
        "source": speed.source,
    }


def _bill_fields(bill: Bill) -> dict[str, Any]:
    return {
        "way": bill.way,
        "month_usd": bill.month,
        "limit": bill.limit or None,
        "cold_share": bill.cold,
        "cold_starts_hour": bill.starts,
        "lines": [{"what": line.what, "count": line.count, "month_usd": line.month} for line in bill.lines],
    }
