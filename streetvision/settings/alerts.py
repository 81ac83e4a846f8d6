"""The settings of alerts and of the ping. Addresses and tokens are hidden wherever settings are shown."""

# ruff: noqa: RUF009 - `declare` returns a dataclass field

from __future__ import annotations

from dataclasses import dataclass

from streetvision.errors import ConfigError
from streetvision.settings.parsing import (
    choice,
    declare,
    number,
    parse_address_of_hook,
    parse_chat,
    parse_label,
    parse_quiet_hours,
    parse_secret,
    parse_time_of_day,
    parse_token,
    parse_zone,
)
from streetvision.settings.secret import Secret

NOTHING = Secret()
NEVER = "never"
"""Time of day of a digest that nobody wants."""


@dataclass(frozen=True, kw_only=True)
class AlertSettings:
    """Where alerts go and when; part of Settings."""

    alerts_name: str = declare(
        "", "--alerts.name", "ALERTS_NAME", "Name of this miner in alerts; empty: its hotkey, shortened.", parse_label
    )
    alerts_discord_url: Secret = declare(
        NOTHING,
        "--alerts.discord_url",
        "ALERTS_DISCORD_URL",
        "Secret. Address of a Discord webhook that alerts go to.",
        parse_address_of_hook,
    )
    alerts_slack_url: Secret = declare(
        NOTHING,
        "--alerts.slack_url",
        "ALERTS_SLACK_URL",
        "Secret. Address of a Slack incoming webhook.",
        parse_address_of_hook,
    )
    alerts_telegram_token: Secret = declare(
        NOTHING,
        "--alerts.telegram_token",
        "ALERTS_TELEGRAM_TOKEN",
        "Secret. Token of a Telegram bot; needs --alerts.telegram_chat.",
        parse_token,
    )
    alerts_telegram_chat: str = declare(
        "",
        "--alerts.telegram_chat",
        "ALERTS_TELEGRAM_CHAT",
        "Chat that the Telegram bot writes to: its number, or the `@name` of a channel.",
        parse_chat,
    )
    alerts_webhook_url: Secret = declare(
        NOTHING,
        "--alerts.webhook_url",
        "ALERTS_WEBHOOK_URL",
        "Secret. Address that alerts are posted to as JSON (docs/alerts.md).",
        parse_address_of_hook,
    )
    alerts_webhook_secret: Secret = declare(
        NOTHING,
        "--alerts.webhook_secret",
        "ALERTS_WEBHOOK_SECRET",
        "Secret. Key that signs what is posted to --alerts.webhook_url (HMAC-SHA256).",
        parse_secret,
    )
    alerts_ping_url: Secret = declare(
        NOTHING,
        "--alerts.ping_url",
        "ALERTS_PING_URL",
        "Secret. Address called at intervals while the miner is well; a service such as healthchecks.io tells you when "
        "the calls stop.",
        parse_address_of_hook,
    )
    alerts_ping_minutes: float = declare(
        5.0, "--alerts.ping_minutes", "ALERTS_PING_MINUTES", "Minutes between two pings.", number(0.1, 1440.0)
    )
    alerts_ping_method: str = declare(
        "GET", "--alerts.ping_method", "ALERTS_PING_METHOD", "`GET` or `POST`.", choice("GET", "POST")
    )
    alerts_ping_on_critical: str = declare(
        "silent",
        "--alerts.ping_on_critical",
        "ALERTS_PING_ON_CRITICAL",
        "While a critical finding holds: `silent` stops the ping, `fail` calls its address with /fail appended "
        "(understood by healthchecks.io).",
        choice("silent", "fail"),
    )
    alerts_quiet_hours: str = declare(
        "",
        "--alerts.quiet_hours",
        "ALERTS_QUIET_HOURS",
        "Hours such as `22:30-07:00` in which warnings are held back; critical alerts are still sent.",
        parse_quiet_hours,
    )
    alerts_digest: str = declare(
        "08:00",
        "--alerts.digest",
        "ALERTS_DIGEST",
        f"Time of day of the daily digest, such as `08:00`; `{NEVER}` for none.",
        parse_time_of_day,
    )
    alerts_time_zone: str = declare(
        "",
        "--alerts.time_zone",
        "ALERTS_TIME_ZONE",
        "Time zone of --alerts.quiet_hours and --alerts.digest, such as `Europe/Berlin`; empty: this machine's.",
        parse_zone,
    )
    alerts_reminder_hours: float = declare(
        6.0,
        "--alerts.reminder_hours",
        "ALERTS_REMINDER_HOURS",
        "Hours after which a lasting critical finding is sent again; warnings after four times as long. 0: never.",
        number(0.0, 8760.0),
    )

    def check_alerts(self) -> None:
        """ConfigError when settings do not go together."""
        if bool(self.alerts_telegram_token) != bool(self.alerts_telegram_chat):
            raise ConfigError(
                "Telegram needs both a bot and a chat: set --alerts.telegram_token and --alerts.telegram_chat"
            )
        if self.alerts_webhook_secret and not self.alerts_webhook_url:
            raise ConfigError("--alerts.webhook_secret signs what goes to --alerts.webhook_url: set that too")
