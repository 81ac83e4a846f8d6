"""The malformed-input table: each line gets status and reason, costs no inference, is counted; the server lives on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from streetvision.axon.client import request_body
from streetvision.engine.types import BadImage

from . import conftest as kit
from .conftest import Axon, MakeAxon

MALFORMED_HEADERS = {
    "bt_header_dendrite_nonce": ["soon", "-1", "1" * 30, "1.5", ""],
    "bt_header_dendrite_uuid": ["a b", "<script>", "u" * 65, ""],
    "bt_header_dendrite_hotkey": ["0" * 48, "short", "<b>", ""],
    "bt_header_dendrite_signature": ["0x12", "zz" * 64, ""],
    "computed_body_hash": ["<script>", "00"],
    "timeout": ["nan", "inf", "-1", "0", "soon", "1e9"],
}
REQUIRED = ["hotkey", "nonce", "uuid", "signature"]


@dataclass
class Case:
    """One bad request and the answer it must get."""

    status: int
    reason: str
    edit: Callable[[dict[str, str]], object] = lambda headers: None
    method: str = "POST"
    path: str = "/ImageSynapse"
    body: bytes | None = None
    dialect: str = "legacy"
    age_s: float = 0.0
    signer: str = "ALICE"
    settings: dict[str, Any] = field(default_factory=dict)


def put(name: str, value: str) -> Callable[[dict[str, str]], object]:
    return lambda headers: headers.update({name: value})


def drop(*names: str) -> Callable[[dict[str, str]], object]:
    return lambda headers: [headers.pop(name) for name in names]


def strip(headers: dict[str, str]) -> None:
    """As nginx does by default."""
    for name in [name for name in headers if "_" in name]:
        del headers[name]


def dashed(headers: dict[str, str]) -> None:
    """As a gateway that speaks CGI does."""
    for name in [name for name in headers if "_" in name]:
        headers[name.replace("_", "-")] = headers.pop(name)


def only(headers: dict[str, str], kept: str) -> None:
    for name in [n for n in headers if n.startswith("bt_header_dendrite_") and not n.endswith(kept)]:
        del headers[name]


CASES = {
    "unknown path": Case(404, "unknown_path", path="/x"),
    "unknown synapse": Case(404, "unknown_path", path="/Synapse"),
    "synapse named otherwise": Case(404, "unknown_synapse", put("name", "Synapse")),
    "path traversal": Case(404, "unknown_path", path="/../ImageSynapse"),
    "unknown get": Case(404, "unknown_path", lambda h: h.clear(), method="GET", path="/x", dialect="none"),
    "get of the synapse": Case(405, "method", method="GET"),
    "no identity": Case(400, "no_identity", lambda h: h.clear(), dialect="none"),
    "underscores dropped": Case(400, "headers_dropped", strip, dialect="none"),
    "underscores made dashes": Case(400, "headers_renamed", dashed, dialect="none"),
    "all but one of the identity dropped": Case(401, "missing_header", lambda h: only(h, "signature")),
    "transfer encoding": Case(415, "encoding", put("transfer-encoding", "gzip")),
    "unknown hotkey": Case(403, "unknown_hotkey", signer="EVE"),
    "no permit": Case(403, "no_permit", signer="DAVE"),
    "low stake": Case(403, "low_stake", signer="BOB", settings={"min_stake": 600.0}),
    "stale nonce": Case(401, "stale_nonce", age_s=40.0),
    "stale nonce with a huge timeout": Case(401, "stale_nonce", put("timeout", "999999"), age_s=40.0),
    "stale nonce with an old version": Case(401, "stale_nonce", put("bt_header_dendrite_version", "1"), age_s=40.0),
    "future nonce": Case(401, "future_nonce", age_s=-40.0),
    "a day ahead": Case(401, "future_nonce", age_s=-86_400.0),
    "wrong signature": Case(401, "bad_signature", put("bt_header_dendrite_signature", "0x" + "ab" * 64)),
    "another's signature": Case(
        401, "bad_signature", lambda h: h.update(bt_header_dendrite_hotkey=kit.BOB.ss58_address)
    ),
    "another receiver": Case(401, "wrong_receiver", put("bt_header_axon_hotkey", kit.BOB.ss58_address)),
    "another hash": Case(401, "bad_signature", put("computed_body_hash", "0" * 64)),
    "too large by header": Case(413, "too_large", body=b" " * 2000, settings={"max_body_bytes": 1000}),
    "gzip": Case(415, "encoding", put("content-encoding", "gzip")),
    "upgrade": Case(400, "upgrade", lambda h: h.update(connection="upgrade", upgrade="websocket")),
    "invalid json": Case(400, "bad_json", body=b"{"),
    "empty body": Case(400, "bad_json", body=b""),
    "not utf-8": Case(400, "bad_json", body=b'{"image": "\xff"}'),
    "deep json": Case(400, "bad_json", body=b"[" * 100_000),
    "huge number": Case(400, "bad_json", body=b'{"image": ' + b"1" * 10_000 + b"}"),
    "json list": Case(400, "bad_json", body=b"[]"),
    "missing image": Case(400, "missing_image", body=b"{}"),
    "null image": Case(400, "missing_image", body=b'{"image": null}'),
    "number for an image": Case(400, "missing_image", body=b'{"image": 1}'),
    "not base64": Case(400, "not_base64", body=b'{"image": "<html>"}'),
    "not ascii": Case(400, "not_base64", body='{"image": "ümlaut=="}'.encode()),
    "lone surrogate": Case(400, "not_base64", body=b'{"image": "\\ud800"}'),
    "data url": Case(400, "not_base64", body=b'{"image": "data:image/jpeg;base64,QUJD"}'),
    "no padding": Case(400, "not_base64", body=b'{"image": "QUI"}'),
    "empty image": Case(400, "empty_image", body=b'{"image": ""}'),
    "blank image": Case(400, "empty_image", body=b'{"image": "  "}'),
    **{f"missing {name}": Case(401, "missing_header", drop(f"bt_header_dendrite_{name}")) for name in REQUIRED},
    **{
        f"{name}: {value[:12]!r}": Case(400, "malformed_header", put(name, value))
        for name, values in MALFORMED_HEADERS.items()
        for value in values
    },
}


async def still_serves(axon: Axon) -> None:
    asked = len(axon.predictor.images)
    assert (await axon.ask(headers=kit.signed(kit.ALICE, uuid="alive"))).status == 200
    assert len(axon.predictor.images) == asked + 1


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_table(case: Case, make_axon: MakeAxon) -> None:
    axon = await make_axon(**case.settings)
    headers = kit.signed(getattr(kit, case.signer), age_s=case.age_s)
    case.edit(headers)
    body = b"" if case.method == "GET" else case.body
    reply = await axon.ask(case.method, case.path, headers, body)
    assert reply.status == case.status, reply
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["message"]
    if case.dialect == "legacy":
        assert reply.headers["bt_header_axon_status_code"] == str(case.status)
    assert_reflects_nothing(reply, headers)
    assert axon.counted(case.status, case.reason, case.dialect) == 1
    assert axon.predictor.images == []
    await still_serves(axon)


def assert_reflects_nothing(reply: Any, headers: dict[str, str]) -> None:
    text = (reply.body.decode() + json.dumps(reply.headers)).lower()
    secrets = [v for k, v in headers.items() if k.startswith("bt_header") and len(v) > 8]
    assert not [value for value in secrets if value.lower() in text]
    assert "<script>" not in text
    assert "imagesynapse" not in text


async def test_replayed_nonce(axon: Axon) -> None:
    headers = kit.signed()
    assert (await axon.ask(headers=headers)).status == 200
    reply = await axon.ask(headers=headers)
    assert (reply.status, axon.counted(401, "replayed_nonce")) == (401, 1)
    assert len(axon.predictor.images) == 1


async def test_too_large_by_stream(make_axon: MakeAxon) -> None:
    axon = await make_axon(max_body_bytes=1000)
    headers = kit.signed() | {"transfer-encoding": "chunked"}
    reply = await axon.ask(headers=headers, body=b"190\r\n" + b"x" * 400 + b"\r\n" + b"3e8\r\n" + b"x" * 1000 + b"\r\n")
    assert (reply.status, axon.counted(413, "too_large")) == (413, 1)
    assert axon.predictor.images == []
    await still_serves(axon)


async def test_a_large_refused_body_does_not_hide_the_refusal(axon: Axon) -> None:
    reply = await axon.ask(headers=kit.signed(kit.EVE), body=b"x" * 4_000_000)
    assert reply.status == 403
    assert "not registered" in reply.json["message"]


async def test_slow_body(make_axon: MakeAxon) -> None:
    axon = await make_axon(body_timeout_s=0.1)
    started = time.monotonic()
    reply = await axon.ask(headers=kit.signed() | {"content-length": "1000"}, body=b"{")
    assert (reply.status, axon.counted(408, "slow_body")) == (408, 1)
    assert reply.headers["connection"] == "close"
    assert time.monotonic() - started >= 0.1
    assert axon.predictor.images == []
    await still_serves(axon)


async def test_a_body_past_the_callers_own_timeout(make_axon: MakeAxon) -> None:
    axon = await make_axon(deadline_margin_s=0.0)
    headers = kit.signed(timeout_s=0.1) | {"content-length": "1000"}
    assert (await axon.ask(headers=headers, body=b"{")).status == 408


async def test_slow_headers(make_axon: MakeAxon) -> None:
    axon = await make_axon(header_timeout_s=0.1)
    reply = await axon.raw(b"POST /ImageSynapse HTTP/1.1\r\nhost: x\r\n")
    assert (reply.status, axon.counted(408, "slow_headers", "none")) == (408, 1)
    await still_serves(axon)


async def test_headers_that_drip_on_a_used_connection(make_axon: MakeAxon) -> None:
    axon = await make_axon(header_timeout_s=0.1)
    reader, writer = await axon.connect()
    writer.write(kit.encode("POST", "/ImageSynapse", kit.signed(), request_body(b"image")))
    assert (await kit.read_reply(reader)).status == 200
    writer.write(b"\r\n")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_silent_sockets_are_closed_and_make_room(make_axon: MakeAxon) -> None:
    axon = await make_axon(header_timeout_s=0.2, max_connections=64)
    silent = [await axon.connect() for _ in range(150)]
    await still_serves(axon)
    assert axon.sample("dropped_connections_total", reason="evicted") >= 80
    ends = await asyncio.wait_for(asyncio.gather(*(r.read() for r, _ in silent), return_exceptions=True), 10)
    assert len(ends) == 150
    for _, writer in silent:
        writer.close()


async def test_a_crowd_of_strangers_never_evicts_a_validators_request(make_axon: MakeAxon) -> None:
    release = asyncio.Event()

    async def wait(image: bytes) -> Any:
        await release.wait()
        return kit.prediction()

    axon = await make_axon(max_connections=64, predictor=kit.CountingPredictor(wait))
    asked = asyncio.create_task(axon.ask())
    while not axon.predictor.images:
        await asyncio.sleep(0.01)
    crowd = [await axon.connect() for _ in range(100)]
    release.set()
    assert (await asked).status == 200
    for _, writer in crowd:
        writer.close()


JUNK = {
    "zeros": ("malformed_http", b"\x00" * 100),
    "another version": ("malformed_http", b"GET / HTTP/9\r\n\r\n"),
    "a word": ("malformed_http", b"hello\r\n\r\n"),
    "a method that begins like another": ("malformed_http", b"PRANK / HTTP/1.1\r\n\r\n"),
    "TLS": ("tls", b"\x16\x03\x01\x02\x00\x01\x00"),
    "TLS, one byte": ("tls", b"\x16"),
    "HTTP/2": ("http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04"),
    "PROXY protocol": ("proxy_protocol", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nPOST /ImageSynapse HTTP/1.1\r\n\r\n"),
    "PROXY protocol, binary": ("proxy_protocol", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"),
}


@pytest.mark.parametrize(("reason", "junk"), JUNK.values(), ids=JUNK.keys())
async def test_not_http(reason: str, junk: bytes, axon: Axon) -> None:
    reply = await axon.raw(junk)
    assert (reply.status, axon.counted(400, reason, "none")) == (400, 1)
    assert axon.server.refusals.counts()[0][:3] == (reason, 1, 1)
    await still_serves(axon)


@pytest.mark.parametrize("pieces", [1, 5])
async def test_huge_headers(pieces: int, axon: Axon) -> None:
    reader, writer = await axon.connect()
    writer.write(b"POST /ImageSynapse HTTP/1.1\r\n")
    for n in range(pieces):
        await asyncio.sleep(0.01)
        writer.write(b"x-%d: " % n + b"y" * (17_000 // pieces) + b"\r\n")
    assert (await kit.read_reply(reader)).status == 431
    writer.close()
    assert axon.counted(431, "huge_headers", "none") == 1
    await still_serves(axon)


async def test_contradicting_lengths(axon: Axon) -> None:
    reply = await axon.ask(
        headers=kit.signed() | {"content-length": "10", "transfer-encoding": "chunked"}, body=b"0\r\n\r\n"
    )
    assert reply.status == 400
    assert axon.predictor.images == []
    await still_serves(axon)


async def test_pipelining_in_order_and_bounded(axon: Axon) -> None:
    reader, writer = await axon.connect()
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" + b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n")
    assert [(await kit.read_reply(reader)).status for _ in range(2)] == [200, 404]
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 500)
    with contextlib.suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert axon.sample("dropped_connections_total", reason="pipelining") == 1
    await still_serves(axon)


async def test_an_endless_unwanted_body_is_cut_off(make_axon: MakeAxon) -> None:
    axon = await make_axon(max_body_bytes=1 << 20)
    reader, writer = await axon.connect()
    writer.write(kit.encode("POST", "/ImageSynapse", kit.signed(kit.EVE) | {"transfer-encoding": "chunked"}, b""))
    assert (await kit.read_reply(reader)).status == 403
    chunk = b"%x\r\n" % 500_000 + b"x" * 500_000 + b"\r\n"
    with pytest.raises(ConnectionError):
        for _ in range(60):
            writer.write(chunk)
            await writer.drain()
        raise AssertionError("the body was read to its end")
    writer.close()
    assert axon.sample("dropped_connections_total", reason="unwanted_body") == 1
    await still_serves(axon)


async def test_the_engine_refuses_the_image(make_axon: MakeAxon) -> None:
    async def refuse(image: bytes) -> Any:
        raise BadImage("The image is truncated.")

    axon = await make_axon(predictor=kit.CountingPredictor(refuse))
    reply = await axon.ask()
    assert (reply.status, reply.json["message"]) == (400, "The image is truncated.")
    assert axon.counted(400, "bad_image") == 1


async def test_line_wrapped_base64_is_answered(axon: Axon) -> None:
    reply = await axon.ask(body=b'{"image": "aW1h\\nZ2U=\\n"}')
    assert (reply.status, axon.predictor.images) == (200, [b"image"])


async def test_no_length(axon: Axon) -> None:
    reply = await axon.raw(b"POST /ImageSynapse HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (reply.status, axon.counted(411, "no_length", "none")) == (411, 1)
