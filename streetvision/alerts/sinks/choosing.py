"""The sinks that the settings ask for, and the operator's own webhook."""

from __future__ import annotations

import hashlib
import hmac
import json

from streetvision.alerts.alert import Alert
from streetvision.alerts.sinks.discord import Discord
from streetvision.alerts.sinks.ping import Ping
from streetvision.alerts.sinks.sink import Reply, Sink, SinkRequest, where_of
from streetvision.alerts.sinks.slack import Slack
from streetvision.alerts.sinks.telegram import Telegram
from streetvision.settings.alerts import AlertSettings
from streetvision.settings.secret import Secret

SCHEMA = 1
"""Raised when a field changes its meaning or goes; new fields do not count."""
SIGNATURE = "X-Streetvision-Signature"


class Webhook:
    """One address of the operator's own."""

    name = "webhook"

    def __init__(self, url: Secret, key: Secret = Secret()) -> None:  # noqa: B008 - immutable
        """With a `key`, each body is signed by it."""
        self._url, self._key = url, key
        self.where = where_of(url)

    def request(self, alert: Alert) -> SinkRequest:
        """`X-Streetvision-Signature: sha256=<hex HMAC-SHA256 of the body>` comes with a key."""
        body = json.dumps({"schema": SCHEMA, **alert.as_dict()}).encode()
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers[SIGNATURE] = f"sha256={signature(body, self._key)}"
        return SinkRequest(self._url, body, headers=headers)

    def refused(self, reply: Reply) -> str | None:
        """Any 2xx is a success."""
        return None


def signature(body: bytes, key: Secret) -> str:
    """Hex HMAC-SHA256."""
    return hmac.new(key.reveal().encode(), body, hashlib.sha256).hexdigest()


LOG = "log"
NAMES = (LOG, "discord", "slack", "telegram", "webhook", "ping")
"""All sinks, as `alerts test --sink` takes them."""


def sinks_of(settings: AlertSettings) -> tuple[Sink, ...]:
    """The services that alerts are sent to; the log is not among them, nor the ping."""
    found: list[Sink] = []
    if settings.discord_url:
        found.append(Discord(settings.discord_url))
    if settings.slack_url:
        found.append(Slack(settings.slack_url))
    if settings.telegram_token:
        found.append(Telegram(settings.telegram_token, settings.telegram_chat))
    if settings.webhook_url:
        found.append(Webhook(settings.webhook_url, settings.webhook_secret))
    return tuple(found)


def ping_of(settings: AlertSettings) -> Ping | None:
    """The dead man's switch, if one is set."""
    if not settings.ping_url:
        return None
    return Ping(
        settings.ping_url,
        method=settings.ping_method,
        on_critical=settings.ping_on_critical,
    )
