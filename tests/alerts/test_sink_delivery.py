"""Delivery against real servers on loopback: everything that a server may do, and what is tried again."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from streetvision.alerts.sinks.choosing import Webhook
from streetvision.alerts.sinks.delivery import DeliveryError, Patience, retry_after
from streetvision.alerts.sinks.sink import Reply
from streetvision.settings.secret import Secret

from .sink_server import OK, answer, drip, flood, hang_up, sent, serving, silence


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (answer("404 Not Found"), "404: there is nothing at this address"),
        (answer("401 Unauthorized"), "401: the address or token is wrong"),
        (answer("400 Bad Request", body=b"SECRET-PATH-0123"), "it answers 400"),
        (answer("302 Found", "Location: http://127.0.0.1:1/"), "a redirect, which is not followed"),
        (answer("500 Oops"), "it answers 500"),
        (answer("429 Slow", "Retry-After: 7"), "fewer messages for 7 s"),
        (b"SSH-2.0-OpenSSH\r\n", "the connection failed (RemoteProtocolError)"),
        (hang_up, "the connection failed (RemoteProtocolError)"),
        (silence, "no answer within 0.3 s"),
        (drip, "no answer within 0.3 s"),
    ],
)
async def test_what_a_server_may_do_is_one_clause(reply: Any, says: str) -> None:
    async with serving(reply) as server:
        with pytest.raises(DeliveryError) as caught:
            await sent(Webhook(server.url()), Patience(attempts=1, attempt_s=0.3))
        assert says in str(caught.value)
        assert "SECRET" not in str(caught.value)
        assert len(server.requests) == 1


async def test_a_body_without_an_end_is_not_read() -> None:
    async with serving(flood) as server:
        assert await sent(Webhook(server.url())) == []


async def test_a_refused_connection_is_said_and_retried() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = Secret(f"http://127.0.0.1:{bound.getsockname()[1]}/SECRET-PATH")
        with pytest.raises(DeliveryError, match="no connection: connection refused"):
            await sent(Webhook(url), Patience(attempts=3))


async def test_it_is_tried_again_with_growing_pauses_until_it_works() -> None:
    busy = answer("503 Busy")
    async with serving(busy, busy, hang_up, busy, OK) as server:
        naps = await sent(Webhook(server.url()), Patience(longest_pause_s=12.0))
        assert len(server.requests) == 5
    assert [5 <= naps[0] <= 6.25, 10 <= naps[1] <= 12.5, naps[2] >= 12, naps[3] >= 12, max(naps) <= 15] == [True] * 5


async def test_the_services_own_patience_is_kept() -> None:
    slow = answer("429 Slow", "Retry-After: 3")
    async with serving(slow, answer("429 Slow", body=b'{"retry_after": 1.5}'), OK) as server:
        assert await sent(Webhook(server.url()), Patience()) == [3.0, 1.5]
    async with serving(answer("429 Slow", "Retry-After: 86400"), OK) as server:
        with pytest.raises(DeliveryError, match="fewer messages for 24 h"):
            await sent(Webhook(server.url()), Patience())


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        ("12", b"", 12.0),
        ("-4", b"", 0.1),
        ("Thu, 01 Jan 1970 00:01:40 GMT", b"", 90.0),
        ("nan", b'{"parameters": {"retry_after": 8}}', 8.0),
        ("", b'{"retry_after": "x"}', None),
        ("soon", b"[1]", None),
        ("", b"[" * 5000, None),
        ("", b'{"retry_after": 1%s}' % (b"0" * 400), None),
    ],
)
def test_retry_after(header: str, body: bytes, expected: float | None) -> None:
    assert retry_after(Reply(429, {"retry-after": header}, body), 10.0) == expected


@pytest.mark.parametrize(("date", "expected"), [("Mon, 30 Nov 2026 12:00:00 GMT", 60.0), ("soon", 1.79604006e9)])
def test_a_date_to_wait_for_is_measured_by_the_services_clock(date: str, expected: float) -> None:
    headers = {"retry-after": "Mon, 30 Nov 2026 12:01:00 GMT", "date": date}
    assert retry_after(Reply(429, headers, b""), 0.0) == pytest.approx(expected)  # ours stands in 1970


async def test_giving_up_at_once_when_there_is_no_point() -> None:
    async with serving(answer("404 Not Found"), OK) as server:
        with pytest.raises(DeliveryError):
            await sent(Webhook(server.url()), Patience())
        assert len(server.requests) == 1
