"""The settings of alerts and of the ping. Addresses and tokens are hidden wherever settings are shown."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.errors import ConfigError
from streetvision.settings.parsing import (
    NEVER,
    declare,
    number,
    one_of,
    parse_address_of_hook,
    parse_bool,
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


@dataclass(frozen=True, kw_only=True)
class AlertSettings:
    """Where alerts go and when: `--alerts.*`."""

    name: str = declare("", "Name of this miner in alerts; empty: its hotkey, shortened.", parse_label)
    discord_url: Secret = declare(
        NOTHING, "Secret. Address of a Discord webhook that alerts go to.", parse_address_of_hook
    )
    slack_url: Secret = declare(NOTHING, "Secret. Address of a Slack incoming webhook.", parse_address_of_hook)
    telegram_token: Secret = declare(
        NOTHING, "Secret. Token of a Telegram bot; needs --alerts.telegram_chat.", parse_token
    )
    telegram_chat: str = declare(
        "", "Chat that the Telegram bot writes to: its number, or the `@name` of a channel.", parse_chat
    )
    webhook_url: Secret = declare(
        NOTHING, "Secret. Address that alerts are posted to as JSON (docs/alerts.md).", parse_address_of_hook
    )
    webhook_secret: Secret = declare(
        NOTHING, "Secret. Key that signs what is posted to --alerts.webhook_url (HMAC-SHA256).", parse_secret
    )
    ping_url: Secret = declare(
        NOTHING,
        "Secret. Address called at intervals while the miner is well; a service such as healthchecks.io tells you "
        "when the calls stop.",
        parse_address_of_hook,
    )
    ping_minutes: float = declare(5.0, "Minutes between two pings.", number(0.1, 1440.0))
    ping_method: str = declare("GET", "`GET` or `POST`.", one_of("GET", "POST"))
    ping_on_critical: str = declare(
        "silent",
        "While a critical finding holds: `silent` stops the ping, `fail` calls its address with /fail appended "
        "(understood by healthchecks.io).",
        one_of("silent", "fail"),
    )
    quiet_hours: str = declare(
        "",
        "Hours such as `22:30-07:00` in which warnings are held back; critical alerts are still sent.",
        parse_quiet_hours,
    )
    digest: str = declare(
        "08:00", f"Time of day of the daily digest, such as `08:00`; `{NEVER}` for none.", parse_time_of_day
    )
    news: bool = declare(True, "Send good news too: that retraining put a new model on.", parse_bool)
    time_zone: str = declare(
        "",
        "Time zone of --alerts.quiet_hours and --alerts.digest, such as `Europe/Berlin`; empty: this machine's.",
        parse_zone,
    )
    reminder_hours: float = declare(
        6.0,
        "Hours after which a lasting critical finding is sent again; warnings after four times as long. 0: never.",
        number(0.0, 8760.0),
    )

    def __post_init__(self) -> None:
        if bool(self.telegram_token) != bool(self.telegram_chat):
            raise ConfigError(
                "Telegram needs both a bot and a chat: set --alerts.telegram_token and --alerts.telegram_chat"
            )
        if self.webhook_secret and not self.webhook_url:
            raise ConfigError("--alerts.webhook_secret signs what goes to --alerts.webhook_url: set that too")
