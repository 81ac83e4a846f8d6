"""The same work again and again, at a fixed distance, whatever befell it the last time."""

from __future__ import annotations

import re
from collections.abc import Callable

from streetvision.errors import ConfigError, OperatorError

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
SHORTEST_S = 1.0


def parse_interval(text: str) -> float:
    """Seconds of `30s`, `5m`, `2h` or `1d`; raises ConfigError for anything else and for less than SHORTEST_S."""
    match = _INTERVAL.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds < SHORTEST_S:
        raise ConfigError(f"{text!r} is no interval: give one such as 30s, 5m, 2h or 1d")
    return seconds


def repeat(
    work: Callable[[], None],
    interval_s: float,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    tell: Callable[[str], None],
) -> None:
    """Do `work` now and then every `interval_s` from start to start; ends when `work` or `sleep` raises.

    An OperatorError is told and costs one round only: a database or a disk may come back. A round that took longer than
    the interval is followed by the next at once, never by two.
    """
    while True:
        started = clock()
        try:
            work()
        except OperatorError as error:
            tell(str(error))
        sleep(max(0.0, started + interval_s - clock()))
