"""A sink turns an alert into one HTTP request; delivering it is left to others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from streetvision.alerts.alert import Alert, AlertItem, Change
from streetvision.monitor.finding import Severity
from streetvision.settings.secret import Secret

MARKS = {Severity.CRITICAL: "\U0001f534", Severity.WARNING: "\U0001f7e0", Severity.INFO: "\U0001f535"}
RECOVERED_MARK = "\U0001f7e2"
_SHORT = 6
"""Parts of an address this short are no secret, and occur in sentences."""


@dataclass(frozen=True, slots=True)
class SinkRequest:
    """One HTTP request; its address is a secret."""

    url: Secret
    body: bytes = b""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True, slots=True)
class Reply:
    """The service's reply: its status, headers, and the beginning of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Sink(Protocol):
    """One service with one address."""

    @property
    def name(self) -> str:
        """The name in settings and reports."""

    @property
    def where(self) -> str:
        """The address without its secrets, for people."""

    def request(self, alert: Alert) -> SinkRequest:
        """The alert in this service's form."""

    def refused(self, reply: Reply) -> str | None:
        """Why a reply of status 2xx is no success after all; None when it is one."""


def where_of(url: Secret) -> str:
    """`https://discord.com/...`: the part of an address that may be shown."""
    parts = urlsplit(url.reveal())
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}/..."


def scrubbed(text: str, *secrets: Secret) -> str:
    """The text without the secrets and without the parts of addresses that are, on one line, at most 200 letters."""
    for part in sorted({part for secret in secrets for part in _parts(secret)}, key=len, reverse=True):
        text = text.replace(part, "...")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def _parts(secret: Secret) -> set[str]:
    text = secret.reveal()
    found = {text}
    if "://" in text:
        parts = urlsplit(text)
        tail = text.partition("://")[2].partition("/")[2]
        found |= {tail, parts.path, parts.query, parts.username or "", parts.password or ""}
        found |= set(re.split(r"[/?&=:@]", tail))
    elif ":" in text:
        found |= set(text.split(":"))
    found |= {unquote(part) for part in found} | {quote(part, safe="") for part in found}
    return {part for part in found if len(part) > _SHORT}


def mark_of(alert: Alert) -> str:
    """A coloured dot for the whole message."""
    return RECOVERED_MARK if alert.recovers or alert.kind == "test" else MARKS[alert.severity]


def mark_of_item(item: AlertItem) -> str:
    """A coloured dot for one change."""
    return RECOVERED_MARK if item.change is Change.RECOVERED else MARKS[item.finding.severity]


def cut(text: str, limit: int) -> str:
    """The text, its end replaced by an ellipsis where it is longer than `limit`."""
    return text if len(text) <= limit else f"{text[: max(0, limit - 1)].rstrip()}…"


def more_words(left: int) -> tuple[str, ...]:
    """The line that counts the changes that found no room; none when all did."""
    return (f"…and {left} more",) if left > 0 else ()
