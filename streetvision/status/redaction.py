"""A snapshot that may leave the machine: no folders, no users, no private addresses, no secret addresses of services.

What names the miner on the chain stays (hotkeys, UIDs, the published endpoint): anybody can read it there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any, cast

from streetvision.status.schema import Status

HIDDEN = "…"
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)
_PATH = re.compile(r"(?:(?<![\w./~…])|(?<=…)(?=/))(?:~[\w-]*|\.{1,2})?/[^\s'\"`<>:;,()]+")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", re.IGNORECASE)
_WALLET = re.compile(r"(--wallet[._](?:name|hotkey|path))[ =]\S+")
_PRIVATE_FIELDS = frozenset({"pid", "disk_folder", "source"})


def shared(status: Status, known: Sequence[str] = ()) -> Status:
    """The same without what is nobody else's business; `known` are texts to hide besides, such as the home folder."""
    return cast(Status, _clean(dict(status), [text for text in known if len(text) > 1]))


def _clean(value: Any, known: Sequence[str]) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return hidden(value, known)
    if isinstance(value, dict):
        return {key: None if key in _PRIVATE_FIELDS else _clean(item, known) for key, item in value.items()}
    return [_clean(item, known) for item in value] if isinstance(value, list) else value


def hidden(text: str, known: Sequence[str] = ()) -> str:
    """`text` with paths, names of wallets, addresses of services and private IP addresses replaced.

    A path with a space in it is known by its parts alone: name it in `known`.
    """
    for word in sorted(known, key=len, reverse=True):
        text = text.replace(word, HIDDEN)
    text = _WALLET.sub(rf"\1 {HIDDEN}", text)
    for pattern, cover in ((_URL, _cover), (_PATH, _cover), (_IPV4, _cover_private), (_IPV6, _cover_private)):
        text = pattern.sub(cover, text)
    return text


def _cover(_: re.Match[str]) -> str:
    return HIDDEN


def _cover_private(found: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(found[0])
    except ValueError:
        return found[0]  # a time such as 12:30:15, or no address at all
    return found[0] if address.is_global else HIDDEN
