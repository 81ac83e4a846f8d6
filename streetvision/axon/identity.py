"""Which headers identify a caller, and how a request without them looks: a stranger's, or one that a proxy has changed.

A validator's request keeps what has no underscore when a proxy drops header names that have one (nginx does, unless
told otherwise): the dendrite's own `name` and `timeout`, a JSON body of some size. Scanners send nothing of the kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from streetvision.subnet import SUBNET

LEGACY_HEADERS = frozenset(b"bt_header_dendrite_%b" % name for name in (b"hotkey", b"nonce", b"uuid", b"signature"))
BTAUTH_HEADERS = frozenset(b"x-bittensor-%b" % name for name in (b"version", b"hotkey", b"nonce", b"signature"))
NO_IDENTITY, DROPPED, RENAMED = "no_identity", "headers_dropped", "headers_renamed"
_CHALLENGE_BYTES = 256
"""The smallest photo's body is larger."""
_MESSAGES: Mapping[str, str] = {
    NO_IDENTITY: "The request carries neither dendrite nor X-Bittensor headers.",
    DROPPED: "The dendrite's headers are missing: a proxy on the way drops names with an underscore.",
    RENAMED: "The dendrite's headers arrive renamed: a proxy on the way replaces the underscores.",
}


def unidentified(headers: Mapping[bytes, bytes]) -> tuple[str, str]:
    """Reason and message for headers (names in lower case) without any identity."""
    reason = RENAMED if _renamed(headers) else DROPPED if _dropped(headers) else NO_IDENTITY
    return reason, _MESSAGES[reason]


def _renamed(headers: Mapping[bytes, bytes]) -> bool:
    return any(name.replace(b"-", b"_") in LEGACY_HEADERS for name in headers)


def _dropped(headers: Mapping[bytes, bytes]) -> bool:
    if _is_dendrites(headers):
        return True
    return _is_challenge(headers) and not any(b"_" in name for name in headers)


def _is_dendrites(headers: Mapping[bytes, bytes]) -> bool:
    """What a dendrite sends beside its identity."""
    return headers.get(b"name") == SUBNET.synapse.encode() or b"timeout" in headers


def _is_challenge(headers: Mapping[bytes, bytes]) -> bool:
    """A JSON body that could hold a photo, for when the proxy drops what it does not know by name."""
    if not headers.get(b"content-type", b"").lower().startswith(b"application/json"):
        return False
    length = headers.get(b"content-length", b"")
    return b"transfer-encoding" in headers or (length.isdigit() and int(length[:16]) >= _CHALLENGE_BYTES)
