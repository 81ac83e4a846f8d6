"""The oracle's settings: what they refuse before a question is paid."""

from __future__ import annotations

from typing import Any

import pytest

from streetvision.errors import ConfigError
from streetvision.settings.loading import load_settings
from streetvision.settings.oracle import OracleSettings, parse_day
from streetvision.settings.parsing import parse_http_address, parse_key
from streetvision.settings.secret import Secret

ASKED: dict[str, Any] = {"url": "https://oracle.example/v1", "model": "qwen"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": ""}, "needs an address and a model"),
        ({"url": "http://oracle.example/v1", "key": Secret("k")}, "must begin with https"),
        ({"input_price": 1.0}, "say with --oracle.price_date"),
        ({"day_money": 5.0}, "needs prices"),
        ({"retrain_pictures": 9, "input_price": 1.0, "price_date": "2026-11-30"}, "need a bound"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        OracleSettings(**{**ASKED, **changes})


def test_a_key_may_go_to_this_machine_in_plain() -> None:
    assert OracleSettings(url="http://127.0.0.1:8000/v1", model="qwen", key=Secret("k")).is_configured


def test_bounds_of_tokens_need_no_price() -> None:
    assert OracleSettings(**ASKED, day_tokens=1000).is_bounded
    assert not OracleSettings(**ASKED).is_bounded


@pytest.mark.parametrize("text", ["ftp://a/v1", "https://user:pass@a/v1", "https://a/v1?key=x", "https://", "a b"])
def test_addresses_that_are_none_or_hold_a_key(text: str) -> None:
    with pytest.raises(ValueError, match="address") as raised:
        parse_http_address(text)
    assert "pass" not in str(raised.value)


def test_small_parsers() -> None:
    assert parse_http_address("https://a/v1/") == "https://a/v1"
    assert parse_day("2026-11-30") == "2026-11-30"
    with pytest.raises(ValueError, match="not a day"):
        parse_day("yesterday")
    with pytest.raises(ValueError, match="no key") as raised:
        parse_key("sk-sécret")
    assert "cret" not in str(raised.value)


def test_they_come_from_the_environment(tmp_path: Any) -> None:
    environ = {"ORACLE_URL": "https://oracle.example/v1/", "ORACLE_MODEL": "qwen", "ORACLE_KEY": "sk-secret"}
    settings = load_settings(["--oracle.day_tokens", "5000"], environ, cwd=tmp_path, warn=lambda _: None)
    assert settings.oracle.url == "https://oracle.example/v1"
    assert settings.oracle.day_tokens == 5000
    assert "sk-secret" not in repr(settings)
