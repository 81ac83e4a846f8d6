"""Telegram: a bot's message in the service's HTML, within 4,096 letters, without previews of links."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator

from streetvision.alerts.alert import Alert, AlertItem
from streetvision.alerts.sinks.sink import Reply, SinkRequest, cut, mark_of, mark_of_item, more_words
from streetvision.settings.secret import Secret

API = "https://api.telegram.org"
TEXT = 4_096
PART = 700
"""Letters of one change, so that a tag is never cut in two."""


class Telegram:
    """A bot and the chat that it writes to."""

    name = "telegram"

    def __init__(self, token: Secret, chat: str, *, api: str = API) -> None:
        """`api` is another server that speaks the bot API."""
        self._url = Secret(f"{api}/bot{token.reveal()}/sendMessage")
        self._chat = chat
        self.where = f"chat {chat}"

    def request(self, alert: Alert) -> SinkRequest:
        """The message; a recovery and a digest make no sound."""
        body = {
            "chat_id": self._chat,
            "text": text_of(alert),
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
            "disable_notification": alert.recovers or alert.kind == "digest",
        }
        return SinkRequest(self._url, json.dumps(body).encode())

    def refused(self, reply: Reply) -> str | None:
        """The bot API says `ok`."""
        try:
            answer = json.loads(reply.body)
        except ValueError:
            return "its answer is no JSON"
        if isinstance(answer, dict) and answer.get("ok") is True:
            return None
        return f"it answers {answer.get('description') if isinstance(answer, dict) else answer!r}"


def text_of(alert: Alert) -> str:
    """Whole lines, as many as there is room for."""
    text, shown = f"{mark_of(alert)} <b>{_safe(alert.title, 300)}</b>", 0
    for part in _parts(alert):
        if _units(text) + _units(part) > TEXT - 40:
            break
        text += f"\n{part}"
        shown += 1
    left = len(alert.figures) + len(alert.items) + alert.more - shown
    return "\n".join([text, *more_words(left)])


def _units(text: str) -> int:
    """Letters as Telegram counts them, in UTF-16."""
    return len(text.encode("utf-16-le", "replace")) // 2


def _parts(alert: Alert) -> Iterator[str]:
    for name, value in alert.figures:
        yield f"{_safe(name, 100)}: <b>{_safe(value, 300)}</b>"
    for item in alert.items:
        headline = f"{mark_of_item(item)} {_safe(item.headline, 300)}"
        if alert.figures:
            yield headline
        elif alert.alone:
            yield _details(item).strip("\n")
        else:
            yield f"\n{headline}{_details(item)}"


def _details(item: AlertItem) -> str:
    evidence = _safe("\n".join(item.lines), PART)
    remedy = f"\n<b>{_safe(item.remedy, PART)}</b>" if item.remedy else ""
    return f"\n{evidence}{remedy}" if evidence else remedy


def _safe(text: str, limit: int) -> str:
    """Cut before it is escaped, so that no entity is cut in two."""
    return html.escape(cut(text, limit), quote=False)
