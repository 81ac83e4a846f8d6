"""What a connection's first bytes are when they are no HTTP/1 request: known protocols by their opening. Pure."""

from __future__ import annotations

LONGEST = 24
"""Bytes of a connection's beginning that decide."""
_OPENINGS = (
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"),
    (b"PROXY ", "proxy_protocol"),
    (b"\r\n\r\n\x00\r\nQUIT\n", "proxy_protocol"),
    (b"\x16\x03", "tls"),
)
MALFORMED = "malformed_http"
MESSAGES = {
    "http2": "This port speaks HTTP/1.1 alone.",
    "proxy_protocol": "This port does not read the PROXY protocol: the proxy must not send it.",
    "tls": "This port speaks plain HTTP, not TLS.",
    MALFORMED: "This is not a valid HTTP request.",
}


def reason_of(first: bytes) -> str:
    """The protocol that `first` opens, as far as it goes; `malformed_http` for anything else."""
    for opening, reason in _OPENINGS:
        length = min(len(first), len(opening))
        if length >= _least(opening) and first[:length] == opening[:length]:
            return reason
    return MALFORMED


def _least(opening: bytes) -> int:
    """A parser may give up before all of an opening has arrived: as many bytes as no HTTP request shares."""
    return 1 if opening[0] == 0x16 else min(4, len(opening))
