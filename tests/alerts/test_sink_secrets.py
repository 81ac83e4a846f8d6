"""No address or token of a sink is shown anywhere; a trial says of each sink how it went."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.alerts.metrics import MonitorMetrics
from streetvision.alerts.sinks.choosing import NAMES, Webhook, ping_of, sinks_of
from streetvision.alerts.sinks.delivery import ONCE, DeliveryError, Patience, deliver, quiet_client_log
from streetvision.alerts.sinks.delivery_thread import DeliveryThread
from streetvision.alerts.sinks.discord import Discord
from streetvision.alerts.sinks.sink import scrubbed, where_of
from streetvision.alerts.sinks.slack import Slack
from streetvision.alerts.sinks.telegram import Telegram
from streetvision.alerts.sinks.trial import try_sinks
from streetvision.base.logs import configure_logging, flush_log
from streetvision.errors import ConfigError
from streetvision.settings.alerts import AlertSettings
from streetvision.settings.secret import Secret

from .sink_server import OK, alert, answer, hang_up, serving, silence, wait_for

TOKEN = "123456789:SECRET-telegram-token-0123"
CONFIGURED = {
    "discord_url": "https://127.0.0.1:1/api/webhooks/SECRET1/SECRET-discord",
    "slack_url": "https://127.0.0.1:1/services/SECRET-slack/B/xyz",
    "webhook_url": "https://user:SECRET-password@127.0.0.1:1/SECRET-path?key=SECRET-query",
    "webhook_secret": "SECRET-hmac",
    "ping_url": "https://127.0.0.1:1/SECRET-uuid",
    "telegram_token": TOKEN,
}


@pytest.fixture
def talkative() -> Iterator[None]:
    """Every logger at its most talkative, for one test."""
    levels = {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


async def test_secrets_are_in_no_log_whatever_fails(
    talkative: None, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Sinks that fail in every way, and one that succeeds."""
    hidden: dict[str, Any] = {name: Secret(value) for name, value in CONFIGURED.items()}
    settings = AlertSettings(telegram_chat="42", **hidden)
    configure_logging(debug=True)
    caplog.set_level(logging.DEBUG)
    bot = Telegram(Secret(TOKEN), "42", api="https://127.0.0.1:1")
    sinks = [bot if sink.name == "telegram" else sink for sink in sinks_of(settings)]
    works = DeliveryThread(sinks, MonitorMetrics(CollectorRegistry()), ping=ping_of(settings), patience=ONCE)
    works.start()
    works.send(alert())
    await asyncio.to_thread(wait_for, lambda: all(sink.failed for sink in works.health()))
    for reply in (OK, answer("500 Oops"), answer("302 Found", "Location: /SECRET"), hang_up, silence):
        async with serving(reply) as server:
            for sink in (Webhook(server.url()), Discord(server.url()), Slack(server.url())):
                try:
                    await deliver(sink, alert(), Patience(attempts=1, attempt_s=0.3))
                except DeliveryError as error:
                    logger.exception("{}", error)
    logger.error("{} {!r} {}", settings, settings, works.health())
    works.close(0.0)
    assert flush_log(5.0)
    printed = capsys.readouterr()
    said = printed.out + printed.err + caplog.text
    assert "got no message through" in said
    assert "SECRET" not in said


@pytest.mark.parametrize("url", [CONFIGURED["webhook_url"], CONFIGURED["slack_url"]])
def test_what_is_shown_of_an_address(url: str) -> None:
    assert where_of(Secret(url)) == "https://127.0.0.1:1/..."
    assert "SECRET" not in scrubbed(f"cannot do {url}\nnor {url.partition('1:1')[2]}", Secret(url))


def test_a_secret_shows_nothing() -> None:
    secret = Secret("x")
    assert [str(secret), repr(secret), f"{secret:>9}", f"{Secret()}"] == [
        "(hidden)",
        "Secret('(hidden)')",
        " (hidden)",
        "",
    ]
    assert secret == Secret("x") != Secret("y")
    with pytest.raises(TypeError):
        __import__("pickle").dumps(secret)
    with pytest.raises(TypeError):
        json.dumps({"a": secret})


async def test_a_trial_says_of_each_sink_how_it_went() -> None:
    async with serving(answer("200 OK", body=b"ok")) as good, serving(answer("404 Not Found")) as bad:
        settings = AlertSettings(slack_url=good.url(), discord_url=bad.url(), ping_url=good.url("/p"))
        trials = await try_sinks(settings)
        assert [(trial.sink, trial.ok) for trial in trials] == [
            ("log", True), ("discord", False), ("slack", True), ("ping", True)
        ]  # fmt: skip
        assert "deleted" in trials[1].detail
        assert [trial.sink for trial in await try_sinks(settings, "ping")] == ["ping"]
        with pytest.raises(ConfigError, match=r"webhook is not configured: set --alerts\.webhook_url"):
            await try_sinks(settings, "webhook")
        with pytest.raises(ConfigError, match="no sink 'email'; known are log, discord"):
            await try_sinks(settings, "email")
    assert set(NAMES) == {"log", "discord", "slack", "telegram", "webhook", "ping"}


def test_the_client_cannot_log_addresses() -> None:
    client = type(httpx_client()).__module__.partition(".")[0]
    logging.getLogger(client).setLevel(logging.DEBUG)
    quiet_client_log()
    assert not logging.getLogger(client).isEnabledFor(logging.INFO)


def httpx_client() -> object:
    from huggingface_hub import get_session

    return get_session()
