"""What operators type to choose rows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streetvision.errors import ConfigError
from streetvision.prediction_log.row import LogFilter
from streetvision.prediction_log.selection import parse_moment, parse_validator, select

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "age"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("2w", 1209600), ("1d12h", 129600), ("1.5H", 5400)],
)
def test_ages_count_back(text: str, age: float) -> None:
    assert parse_moment(text, NOW) == NOW - age


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22T18:00:00+00:00", datetime(2026, 11, 22, 18, tzinfo=UTC)),
        ("2026-11-22T18:00Z", datetime(2026, 11, 22, 18, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22).astimezone()),
        (" 2026-11-22 18:30 ", datetime(2026, 11, 22, 18, 30).astimezone()),
    ],
)
def test_dates_are_local_unless_they_say_otherwise(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment.timestamp()


@pytest.mark.parametrize("text", ["", "2", "h", "2 hours", "tomorrow", "2026-13-01", "-1h", "1h-"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no time"):
        parse_moment(text, NOW)


def test_validators_are_uids_or_hotkeys() -> None:
    hotkey = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
    assert parse_validator("12") == (None, 12)
    assert parse_validator(f" {hotkey} ") == (hotkey, None)
    for text in ("", "-1", "65536", "bob", hotkey[:-5], hotkey.replace("w", "0"), "١٢"):
        with pytest.raises(ConfigError, match="neither a UID nor a hotkey"):
            parse_validator(text)


def test_nothing_asked_is_everything() -> None:
    assert select(NOW) == LogFilter()


def test_all_conditions_reach_the_filter() -> None:
    chosen = select(NOW, since="2h", until="1h", validator="7", model="1.0.0", min_score=0.2, max_score=0.2, status=200)
    assert chosen == LogFilter(
        since=NOW - 7200, until=NOW - 3600, uid=7, model="1.0.0", min_score=0.2, max_score=0.2, status=200
    )
