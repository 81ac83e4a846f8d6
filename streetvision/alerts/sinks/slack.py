"""Slack: blocks within Slack's limits, with a coloured bar. Only the title is mrkdwn: a command must stay copyable."""

from __future__ import annotations

from typing import Any

from streetvision.alerts.alert import Alert, AlertItem
from streetvision.alerts.sinks.channel_webhook import MOST_ITEMS, ChannelWebhook, colour_of
from streetvision.alerts.sinks.sink import Reply, cut, mark_of, mark_of_item, more_words

SECTION = 2_900
"""Slack allows 3,000 letters in a section's text."""
_SPECIAL = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "*": "\u2217", "~": "\u223c", "`": "\u02cb"})
"""mrkdwn has no escape for its own signs: look-alikes stand in."""


class Slack(ChannelWebhook):
    """A channel of Slack."""

    name = "slack"

    def refused(self, reply: Reply) -> str | None:
        """Slack answers `ok`, in some versions with a status of 200 for an error too."""
        text = reply.body.decode("utf-8", "replace").strip()
        return None if text in ("", "ok") or text.startswith("{") else f"it answers {text[:80]!r}"

    @staticmethod
    def message(alert: Alert) -> dict[str, Any]:
        """A title, which is the notification too, and sections beside a coloured bar."""
        title = f"{mark_of(alert)} *{cut(escaped(alert.title), SECTION - 10)}*"
        blocks = [_section(cut(text, SECTION)) for text in _texts(alert) if text]
        bar = {"color": f"#{colour_of(alert):06x}", "blocks": blocks}
        return {"text": title, "attachments": [bar] if blocks else []}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": text}}


def _texts(alert: Alert) -> list[str]:
    if alert.figures:
        figures = "\n".join(f"{name}: {value}" for name, value in alert.figures)
        lines = "\n".join(f"{mark_of_item(item)} {item.headline}" for item in alert.items)
        return [figures, lines] if lines else [figures]
    if alert.alone:
        return ["\n".join(_details(alert.items[0]))]
    left = max(0, len(alert.items) - MOST_ITEMS) + alert.more
    return [*map(_text, alert.items[:MOST_ITEMS]), *more_words(left)]


def _text(item: AlertItem) -> str:
    return "\n".join([f"{mark_of_item(item)} {item.headline}", *_details(item)])


def _details(item: AlertItem) -> list[str]:
    return [*item.lines, *([f"\u25b8 {item.remedy}"] if item.remedy else [])]


def escaped(text: str) -> str:
    """Text in which nothing is mrkdwn: no link, mention or emphasis."""
    return text.translate(_SPECIAL)
