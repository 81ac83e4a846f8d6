"""How the text of a setting becomes a value: each parser raises ValueError with a clause that says what is wrong."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path

MOCK_NETWORK = "mock"
NETWORKS = ("finney", "test", "local", "archive", "devnet", MOCK_NETWORK)


def parse_bool(text: str) -> bool:
    """Read a switch as people write it in an environment file; ValueError otherwise."""
    word = text.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def integer(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}")
        return value

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """Reads a number from `low` to `high`; neither NaN nor, within finite bounds, infinity."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a number") from None
        if not low <= value <= high:  # also refuses NaN
            raise ValueError(f"{text} is not between {low:g} and {high:g}")
        return value

    return parse


def choice(*allowed: str) -> Callable[[str], str]:
    """Reads one of these words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!r} is not one of: {', '.join(word or 'none' for word in allowed)}")
        return text

    return parse


def parse_network(text: str) -> str:
    """A network by name or by a node's address."""
    if text in NETWORKS or text.startswith(("ws://", "wss://")):
        return text
    raise ValueError(f"{text!r} is neither one of {', '.join(NETWORKS)} nor a ws:// or wss:// address")


def parse_endpoints(text: str) -> str:
    """One or several addresses of nodes, separated by commas."""
    for part in text.split(","):
        if not part.strip().startswith(("ws://", "wss://")):
            raise ValueError(f"{part.strip()!r} is not a ws:// or wss:// address")
    return text


def parse_address(text: str) -> str:
    """An IPv4 or IPv6 address, in brackets or not."""
    return str(ipaddress.ip_address(text.strip("[]")))


def parse_path(text: str) -> Path:
    """A path; `~` is a home."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"{text!r} names the home of a user that does not exist") from None


def parse_repo(text: str) -> str:
    """A repository as `owner/name`."""
    if re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", text, re.ASCII) is None:
        raise ValueError(f"{text!r} is not owner/name")
    return text
