"""Slack: blocks within Slack's limits, with a coloured bar. Only the title is mrkdwn: a command must stay copyable."""

from __future__ import annotations

import json
from typing import Any

from streetvision.alerts.alert import Alert, AlertItem, Change
from streetvision.alerts.sinks.sink import Reply, SinkRequest, cut, mark_of, mark_of_item, where_of
from streetvision.monitor.finding import Severity
from streetvision.settings.secret import Secret

SECTIONS = 10
"""Slack allows 50 blocks, which nobody reads."""
SECTION = 2_900
"""Slack allows 3,000 letters in a section's text."""
COLOURS = {Severity.CRITICAL: "#d92d20", Severity.WARNING: "#f79009", Severity.INFO: "#2e90fa"}
GREEN = "#12b76a"
_SPECIAL = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "*": "\u2217", "~": "\u223c", "`": "\u02cb"})
"""mrkdwn has no escape for its own signs: look-alikes stand in."""


class Slack:
    """An incoming webhook."""

    name = "slack"

    def __init__(self, url: Secret) -> None:
        self._url = url
        self.where = where_of(url)

    def request(self, alert: Alert) -> SinkRequest:
        """A message with a fallback text for notifications."""
        return SinkRequest(self._url, json.dumps(message(alert)).encode())

    def refused(self, reply: Reply) -> str | None:
        """Slack answers `ok`, in some versions with a status of 200 for an error too."""
        text = reply.body.decode("utf-8", "replace").strip()
        return None if text in ("", "ok") or text.startswith("{") else f"it answers {text[:80]!r}"


def message(alert: Alert) -> dict[str, Any]:
    """The webhook's JSON."""
    title = f"{mark_of(alert)} *{cut(escaped(alert.title), SECTION - 10)}*"
    blocks = [{"type": "section", "text": {"type": "plain_text", "text": cut(t, SECTION)}} for t in _texts(alert) if t]
    colour = GREEN if alert.recovers else COLOURS[alert.severity]
    return {"text": title, "attachments": [{"color": colour, "blocks": blocks}] if blocks else []}


def _texts(alert: Alert) -> list[str]:
    if alert.figures:
        figures = "\n".join(f"{name}: {value}" for name, value in alert.figures)
        lines = "\n".join(f"{mark_of_item(item)} {item.headline}" for item in alert.items)
        return [figures, lines] if lines else [figures]
    if alert.alone:
        return ["\n".join(_details(alert.items[0]))]
    left = max(0, len(alert.items) - SECTIONS) + alert.more
    return [*map(_text, alert.items[:SECTIONS]), *([f"\u2026and {left} more"] if left else [])]


def _text(item: AlertItem) -> str:
    return "\n".join([f"{mark_of_item(item)} {item.headline}", *_details(item)])


def _details(item: AlertItem) -> list[str]:
    return [] if item.change is Change.RECOVERED else [*item.lines, f"\u25b8 {item.finding.remedy}"]


def escaped(text: str) -> str:
    """Text in which nothing is mrkdwn: no link, mention or emphasis."""
    return text.translate(_SPECIAL)
