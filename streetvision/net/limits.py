"""What a listener holds every connection to, and what it tells of those that it turned away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """Limits of one listening port. Durations in seconds, sizes in bytes."""

    max_body_bytes: int
    body_timeout_s: float = 8.0
    """Longest wait for a whole body."""
    max_header_bytes: int = 16 << 10
    header_timeout_s: float = 5.0
    """From connection (or first byte of a later request) to the end of the headers."""
    keep_alive_s: float = 30.0
    """Longer than the 15 s of the dendrite's client: the client closes first, no request meets a closing socket."""
    max_connections: int = 2048
    """Above it the connection that has waited longest without an admitted request gives way."""


class GuardCounter(Protocol):
    """Hears what happens below the application; on the loop, and must not block."""

    def connections(self, count: int) -> None:
        """So many connections are open now."""

    def dropped(self, reason: str, remote: str) -> None:
        """A connection was closed without an answer: 'evicted', 'silent', 'pipelining', 'unwanted_body'."""

    def rejected(self, status: int, reason: str, remote: str) -> None:
        """A request that the parser could not or would not read was answered with `status`."""


class Uncounted:
    """A GuardCounter for a port whose strangers interest nobody."""

    def connections(self, count: int) -> None:
        """Not kept."""

    def dropped(self, reason: str, remote: str) -> None:
        """Not kept."""

    def rejected(self, status: int, reason: str, remote: str) -> None:
        """Not kept."""
