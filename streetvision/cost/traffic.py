"""How many requests come: as one miner's log tells, or as the operator says."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.base.wording import duration
from streetvision.cost.prices import HOURS
from streetvision.errors import OperatorError
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter

HOUR_S = 3600.0
WINDOW_S = 10.0
"""Peaks are looked for over about the time that a validator waits: a queue may smooth what is shorter."""
SHORTEST_S = 600.0
"""Less of a log says nothing about a month."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of one miner."""

    hourly: tuple[float, ...]
    """Requests a second, hour by hour; each stands for an equal part of a month."""
    peak: float
    """Requests a second in the busiest WINDOW_S."""
    told: str
    """Where that is from, for people."""

    @property
    def mean(self) -> float:
        """Requests a second."""
        return sum(self.hourly) / len(self.hourly)

    @property
    def month(self) -> float:
        """Requests of a month."""
        return self.mean * HOUR_S * HOURS

    def times(self, factor: float) -> Traffic:
        """So many times as much, in the same shape."""
        return Traffic(tuple(rate * factor for rate in self.hourly), self.peak * factor, self.told)


@dataclass(frozen=True, slots=True)
class Here:
    """What the log says about this machine."""

    seconds: float
    """Of the model for one answer: its share of its batch."""
    answers: int


def steady(per_second: float) -> Traffic:
    """As many at any hour."""
    return Traffic((per_second,), per_second, f"{per_second:g} requests a second, as given")


def logged(reader: LogReader, choice: LogFilter) -> Traffic:
    """The log's rows hour by hour from the first on; raises OperatorError where there are too few."""
    span = reader.span(choice)
    if span is None or span[1] - span[0] < SHORTEST_S:
        found = "no request" if span is None else f"only {duration(span[1] - span[0])} of requests"
        raise OperatorError(
            f"the prediction log holds {found}, too little to tell a month by: wait, or give --per_second"
        )
    first, length = span[0], span[1] - span[0]
    hours = max(1, int(length / HOUR_S))
    seconds = min(HOUR_S, length)
    counts = reader.counts(first, HOUR_S, choice)
    hourly = tuple(counts.get(hour, 0) / seconds for hour in range(hours))
    peak = max(reader.counts(first, WINDOW_S, choice).values()) / WINDOW_S
    return Traffic(hourly, peak, f"the prediction log's {sum(counts.values()):,} requests in {duration(length)}")


def measured_here(reader: LogReader, choice: LogFilter) -> Here | None:
    """The model's seconds for an answer on this machine; None without an answer."""
    answers, seconds = reader.model_seconds(choice)
    return Here(seconds / answers, answers) if answers else None
