"""Discord: an embed for each change, within the limits that Discord sets, without mentions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from streetvision.alerts.alert import Alert, AlertItem, Change
from streetvision.alerts.sinks.sink import Reply, SinkRequest, cut, mark_of, where_of
from streetvision.monitor.finding import Severity
from streetvision.settings.secret import Secret

EMBEDS = 10
TITLE = 256
DESCRIPTION = 1_000
"""Discord allows 4,096, but 6,000 letters in all embeds of a message together."""
TOTAL = 5_800
CONTENT = 2_000
COLOURS = {Severity.CRITICAL: 0xD92D20, Severity.WARNING: 0xF79009, Severity.INFO: 0x2E90FA}
GREEN = 0x12B76A
_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\*_~`|>#-[]()<"})


class Discord:
    """A channel's webhook."""

    name = "discord"

    def __init__(self, url: Secret) -> None:
        self._url = url
        self.where = where_of(url)

    def request(self, alert: Alert) -> SinkRequest:
        """A message whose embeds are coloured by severity."""
        return SinkRequest(self._url, json.dumps(message(alert)).encode())

    def refused(self, reply: Reply) -> str | None:
        """Any 2xx is a success."""
        return None


def message(alert: Alert) -> dict[str, Any]:
    """The webhook's JSON."""
    embeds: list[dict[str, Any]] = []
    room = TOTAL
    for embed in _digest(alert) if alert.figures else map(_embed, alert.items):
        size = len(embed["title"]) + len(embed.get("description", ""))
        if len(embeds) == EMBEDS or size > room:
            break
        room -= size
        embeds.append(embed)
    left = len(alert.items) + alert.more - len(embeds) if not alert.figures else 0
    more = f"\n…and {left} more" if left > 0 else ""
    return {
        "username": "streetvision",
        "content": f"{mark_of(alert)} **{cut(escaped(alert.title), CONTENT - 100)}**{more}",
        "embeds": embeds,
        "allowed_mentions": {"parse": []},
    }


def _embed(item: AlertItem) -> dict[str, Any]:
    lines = [escaped(sentence) for sentence in item.lines]
    if item.change is not Change.RECOVERED:
        lines.append(f"**{escaped(item.finding.remedy)}**")
    return {
        "title": cut(escaped(item.headline), TITLE),
        "description": cut("\n".join(lines), DESCRIPTION),
        "color": GREEN if item.change is Change.RECOVERED else COLOURS[item.finding.severity],
        "timestamp": datetime.fromtimestamp(item.at, UTC).isoformat(),
    }


def _digest(alert: Alert) -> list[dict[str, Any]]:
    lines = [f"{escaped(name)}: **{escaped(value)}**" for name, value in alert.figures]
    lines += [f"{mark_of(alert)} {escaped(item.headline)}" for item in alert.items]
    return [{"title": "The last day", "description": cut("\n".join(lines), 4_000), "color": COLOURS[alert.severity]}]


def escaped(text: str) -> str:
    """Text in which nothing is Markdown; an `@` mentions nobody as mentions are switched off."""
    return text.translate(_SPECIAL)
