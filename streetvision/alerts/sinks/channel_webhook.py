"""The common part of Discord and Slack: a channel's webhook that takes JSON, and a colour for each severity."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from streetvision.alerts.alert import Alert, AlertItem, Change
from streetvision.alerts.sinks.sink import Reply, SinkRequest, where_of
from streetvision.monitor.finding import Severity
from streetvision.settings.secret import Secret

MOST_ITEMS = 10
"""Discord's limit of embeds; Slack allows 50 blocks, which nobody reads."""
COLOURS = {Severity.CRITICAL: 0xD92D20, Severity.WARNING: 0xF79009, Severity.INFO: 0x2E90FA}
GREEN = 0x12B76A


class ChannelWebhook(ABC):
    """One channel; `name` and the message's form are the service's."""

    name: ClassVar[str]

    def __init__(self, url: Secret) -> None:
        self._url = url
        self.where = where_of(url)

    def request(self, alert: Alert) -> SinkRequest:
        """The message as JSON."""
        return SinkRequest(self._url, json.dumps(self.message(alert)).encode())

    def refused(self, reply: Reply) -> str | None:
        """Any 2xx is a success, unless the service says more."""
        return None

    @staticmethod
    @abstractmethod
    def message(alert: Alert) -> dict[str, Any]:
        """The webhook's JSON, within the service's limits."""


def colour_of(alert: Alert) -> int:
    """RGB of the whole message."""
    return GREEN if alert.recovers else COLOURS[alert.severity]


def colour_of_item(item: AlertItem) -> int:
    """RGB of one change."""
    return GREEN if item.change is Change.RECOVERED else COLOURS[item.finding.severity]
