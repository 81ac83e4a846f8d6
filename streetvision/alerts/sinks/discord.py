"""Discord: an embed for each change, within the limits that Discord sets, without mentions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from streetvision.alerts.alert import Alert, AlertItem
from streetvision.alerts.sinks.channel_webhook import COLOURS, MOST_ITEMS, ChannelWebhook, colour_of_item
from streetvision.alerts.sinks.sink import cut, mark_of, mark_of_item, more_words

TITLE = 256
DESCRIPTION = 1_000
"""Discord allows 4,096, but 6,000 letters in all embeds of a message together."""
TOTAL = 5_800
CONTENT = 2_000
_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\*_~`|>#-[]()<"})


class Discord(ChannelWebhook):
    """A channel of Discord."""

    name = "discord"

    @staticmethod
    def message(alert: Alert) -> dict[str, Any]:
        """Embeds coloured by severity, without mentions."""
        embeds = _fitting(_digest(alert) if alert.figures else map(_embed, alert.items))
        left = 0 if alert.figures else len(alert.items) + alert.more - len(embeds)
        title = f"{mark_of(alert)} **{cut(escaped(alert.title), CONTENT - 100)}**"
        return {
            "username": "streetvision",
            "content": "\n".join([title, *more_words(left)]),
            "embeds": embeds,
            "allowed_mentions": {"parse": []},
        }


def _fitting(embeds: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first embeds, as many as Discord takes in one message."""
    fitting: list[dict[str, Any]] = []
    room = TOTAL
    for embed in embeds:
        room -= len(embed["title"]) + len(embed["description"])
        if len(fitting) == MOST_ITEMS or room < 0:
            break
        fitting.append(embed)
    return fitting


def _embed(item: AlertItem) -> dict[str, Any]:
    lines = [escaped(sentence) for sentence in item.lines]
    if item.remedy:
        lines.append(f"**{escaped(item.remedy)}**")
    return {
        "title": cut(escaped(item.headline), TITLE),
        "description": cut("\n".join(lines), DESCRIPTION),
        "color": colour_of_item(item),
        "timestamp": datetime.fromtimestamp(item.at, UTC).isoformat(),
    }


def _digest(alert: Alert) -> list[dict[str, Any]]:
    lines = [f"{escaped(name)}: **{escaped(value)}**" for name, value in alert.figures]
    lines += [f"{mark_of_item(item)} {escaped(item.headline)}" for item in alert.items]
    return [{"title": "The last day", "description": cut("\n".join(lines), 4_000), "color": COLOURS[alert.severity]}]


def escaped(text: str) -> str:
    """Text in which nothing is Markdown; an `@` mentions nobody as mentions are switched off."""
    return text.translate(_SPECIAL)
