"""What opens a connection that is no HTTP/1 request, also when a parser gives up before all of it has arrived."""

from __future__ import annotations

import pytest

from streetvision.net.preamble import LONGEST, MALFORMED, MESSAGES, reason_of

CASES = {
    b"\x16": "tls",
    b"\x16\x03\x01\x02": "tls",
    b"\x16\x04": MALFORMED,
    b"PRI ": "http2",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": "http2",
    b"PRI": MALFORMED,
    b"PRI / HTTP/1.1\r\n": MALFORMED,
    b"PROX": "proxy_protocol",
    b"PROXY UNKNOWN\r\n": "proxy_protocol",
    b"PROPFIN /": MALFORMED,
    b"\r\n\r\n\x00\r\nQUIT\n\x21": "proxy_protocol",
    b"\r\n\r\nhello": MALFORMED,
    b"": MALFORMED,
    b"\x00" * LONGEST: MALFORMED,
}


@pytest.mark.parametrize(("first", "reason"), CASES.items())
def test_reason(first: bytes, reason: str) -> None:
    assert reason_of(first) == reason
    assert reason in MESSAGES
