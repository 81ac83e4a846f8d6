"""What an operator types to choose rows, turned into a `LogFilter`: pure, told the time by its caller."""

from __future__ import annotations

import re
from datetime import datetime

from streetvision.errors import ConfigError
from streetvision.prediction_log.row import LogFilter

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGE = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_AGE_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SS58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{46,50}")
_HIGHEST_UID = 65535


def parse_moment(text: str, now: float) -> float:
    """Unix seconds of an age such as `2h`, `1d12h`, or of an ISO date or time (local unless it says otherwise).

    Raises ConfigError with one sentence.
    """
    word = text.strip()
    if _AGE.fullmatch(word.lower()):
        return now - sum(float(count) * _SECONDS[unit] for count, unit in _AGE_PART.findall(word.lower()))
    try:
        return datetime.fromisoformat(word).timestamp()
    except (ValueError, OverflowError, OSError):  # years outside the platform's range
        raise ConfigError(
            f"{text!r} is no time: give an age such as 90s, 30m, 2h, 1d or 2w, or a date such as 2026-11-22 or "
            "2026-11-22T18:00"
        ) from None


def parse_validator(text: str) -> tuple[str | None, int | None]:
    """`(hotkey, None)` or `(None, uid)`; raises ConfigError for what is neither."""
    word = text.strip()
    if word.isascii() and word.isdigit() and int(word) <= _HIGHEST_UID:
        return None, int(word)
    if _SS58.fullmatch(word):
        return word, None
    raise ConfigError(f"{text!r} is neither a UID nor a hotkey (ss58)")


def select(
    now: float,
    *,
    since: str | None = None,
    until: str | None = None,
    validator: str | None = None,
    model: str | None = None,
    min_score: float | None = None,
    max_score: float | None = None,
    status: int | None = None,
) -> LogFilter:
    """The filter for these words; raises ConfigError where one is malformed or two leave nothing between them."""
    begin = None if since is None else parse_moment(since, now)
    end = None if until is None else parse_moment(until, now)
    if begin is not None and end is not None and begin >= end:
        raise ConfigError(f"--since {since} is not before --until {until}")
    if min_score is not None and max_score is not None and min_score > max_score:
        raise ConfigError(f"--min_score {min_score:g} is above --max_score {max_score:g}")
    hotkey, uid = (None, None) if validator is None else parse_validator(validator)
    return LogFilter(
        since=begin,
        until=end,
        validator=hotkey,
        uid=uid,
        model=model,
        min_score=min_score,
        max_score=max_score,
        status=status,
    )
