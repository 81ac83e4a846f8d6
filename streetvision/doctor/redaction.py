"""Takes secrets out of everything that the doctor shows: reports are pasted into public channels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import parse_qsl, urlsplit

from streetvision.settings.fields import secrets_in
from streetvision.settings.secret import HIDDEN
from streetvision.settings.settings import Settings

_VARIABLES = re.compile(r"PASSWORD|TOKEN|SECRET|API_?KEY|BT_PW_|WEBHOOK", re.IGNORECASE)
_ADDRESS = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>,;()]+")
_SHORTEST = 4
"""A shorter value is no secret, and would be found in every word."""

_KEY_LENGTH = 9
"""A part of a path that is shorter is a word such as `v1` or `finney`."""


def scrubber(settings: Settings | None, environ: Mapping[str, str]) -> Callable[[str], str]:
    """A function that hides secret values and whatever of an address is more than its host and port."""
    secrets = sorted(set(_secrets(settings, environ)), key=len, reverse=True)

    def scrub(text: str) -> str:
        text = _ADDRESS.sub(_bare, text)
        for secret in secrets:
            text = text.replace(secret, HIDDEN)
        return text

    return scrub


def _secrets(settings: Settings | None, environ: Mapping[str, str]) -> Iterable[str]:
    for name, value in environ.items():
        if _VARIABLES.search(name) and len(value) >= _SHORTEST and not name.endswith("_FILE"):
            yield value
    if settings is None:
        return
    yield from (secret.reveal() for secret in secrets_in(settings))
    for endpoint in (*settings.subtensor.endpoints, settings.subtensor.network):
        yield from _private(endpoint)


def _private(address: str) -> Iterable[str]:
    """Parts of an address that may be a key: its password, the values of its query, and long parts of its path."""
    if "://" not in address:
        return
    parts = urlsplit(address)
    values = [parts.password or "", *(value for _, value in parse_qsl(parts.query))]
    yield from (value for value in values if len(value) >= _SHORTEST)
    yield from (part for part in parts.path.split("/") if len(part) >= _KEY_LENGTH)


def _bare(found: re.Match[str]) -> str:
    """An address without user, path and query, any of which may hold a key; a plain one stays as it is."""
    address = found.group()
    try:
        parts = urlsplit(address)
    except ValueError:
        return HIDDEN
    if not (parts.query or parts.username or parts.password or parts.path.strip("/")):
        return address
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/..."
