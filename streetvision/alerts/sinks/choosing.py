"""Which sinks the settings ask for."""

from __future__ import annotations

from streetvision.alerts.sinks.discord import Discord
from streetvision.alerts.sinks.ping import Ping
from streetvision.alerts.sinks.sink import Sink
from streetvision.alerts.sinks.slack import Slack
from streetvision.alerts.sinks.telegram import Telegram
from streetvision.alerts.sinks.webhook import Webhook
from streetvision.settings.alerts import AlertSettings

LOG = "log"
NAMES = (LOG, "discord", "slack", "telegram", "webhook", "ping")
"""All sinks, as `alerts test --sink` takes them."""


def sinks_of(settings: AlertSettings) -> tuple[Sink, ...]:
    """The services that alerts are sent to; the log is not among them, nor the ping."""
    found: list[Sink] = []
    if settings.alerts_discord_url:
        found.append(Discord(settings.alerts_discord_url))
    if settings.alerts_slack_url:
        found.append(Slack(settings.alerts_slack_url))
    if settings.alerts_telegram_token:
        found.append(Telegram(settings.alerts_telegram_token, settings.alerts_telegram_chat))
    if settings.alerts_webhook_url:
        found.append(Webhook(settings.alerts_webhook_url, settings.alerts_webhook_secret))
    return tuple(found)


def ping_of(settings: AlertSettings) -> Ping | None:
    """The dead man's switch, if one is set."""
    if not settings.alerts_ping_url:
        return None
    return Ping(
        settings.alerts_ping_url,
        method=settings.alerts_ping_method,
        on_critical=settings.alerts_ping_on_critical,
    )
