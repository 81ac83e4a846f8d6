"""A stranger's request, or a validator's that a proxy has changed: told from its headers alone."""

from __future__ import annotations

import pytest

from streetvision.axon.identity import DROPPED, NO_IDENTITY, RENAMED, unidentified

JSON = {b"content-type": b"application/json"}
PLAIN = {b"host": b"203.0.113.7:8091", b"user-agent": b"x", b"accept": b"*/*"}
CASES = {
    "a scanner": (NO_IDENTITY, PLAIN),
    "a scanner with cookies": (NO_IDENTITY, PLAIN | {b"x_forwarded": b"1", b"content-type": b"application/json"}),
    "a scanner's form": (NO_IDENTITY, PLAIN | {b"content-type": b"application/x-www-form-urlencoded"}),
    "a scanner's little JSON": (NO_IDENTITY, PLAIN | JSON | {b"content-length": b"20"}),
    "a length that is none": (NO_IDENTITY, PLAIN | JSON | {b"content-length": b"9\xb2"}),
    "another synapse's name": (NO_IDENTITY, PLAIN | {b"name": b"Synapse"}),
    "a dendrite's rest": (DROPPED, PLAIN | JSON | {b"name": b"ImageSynapse", b"timeout": b"9.0"}),
    "a dendrite's rest, and the proxy's own": (DROPPED, PLAIN | {b"timeout": b"9.0", b"x_real_ip": b"192.0.2.1"}),
    "the name alone": (DROPPED, PLAIN | {b"name": b"ImageSynapse"}),
    "the timeout alone": (DROPPED, PLAIN | {b"timeout": b"9.0"}),
    "a photo's body": (DROPPED, PLAIN | JSON | {b"content-length": b"40000"}),
    "a photo in chunks": (DROPPED, PLAIN | JSON | {b"transfer-encoding": b"chunked"}),
    "a length beyond numbers": (DROPPED, PLAIN | JSON | {b"content-length": b"9" * 5000}),
    "dashes": (RENAMED, PLAIN | {b"bt-header-dendrite-hotkey": b"5F"}),
    "half and half": (RENAMED, PLAIN | {b"bt-header-dendrite_nonce": b"1"}),
}


@pytest.mark.parametrize(("reason", "headers"), CASES.values(), ids=CASES.keys())
def test_reason(reason: str, headers: dict[bytes, bytes]) -> None:
    assert unidentified(headers)[0] == reason
