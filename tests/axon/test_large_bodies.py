"""Large bodies: the memory they may take until they are answered, and refusals that their senders can read."""

from __future__ import annotations

import asyncio
import http.client
import json
import tracemalloc
from dataclasses import dataclass
from typing import Any

import pytest

from streetvision.axon.client import request_body
from streetvision.axon.quota import ByteBudget, Share
from streetvision.axon.wire import Refused

from . import conftest as kit
from .conftest import Axon, MakeAxon

MIB = 1 << 20


@dataclass
class Gate:
    closed: str | None = None


class Slow:
    """An answer that waits until it is released."""

    def __init__(self) -> None:
        self._prediction = kit.prediction()
        self.release = asyncio.Event()

    async def __call__(self, image: bytes) -> Any:
        await self.release.wait()
        return self._prediction


def post(port: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
    """As a client that reads nothing before its whole body is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/ImageSynapse", body, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def test_a_share_gives_back_what_it_took() -> None:
    reading, proven, share = ByteBudget(100), ByteBudget(50), Share()
    share.grow(reading, 30)
    share.grow(reading, 10)
    assert (reading.used, share.size) == (40, 40)
    share.settle(proven, 45)
    assert (reading.used, proven.used) == (0, 45)
    with pytest.raises(Refused):
        share.settle(proven, 51)
    share.release()
    assert (reading.used, proven.used, share.size) == (0, 0, 0)


@pytest.mark.parametrize("size", [100, 3 * MIB], ids=["small", "large"])
@pytest.mark.parametrize("dialect", ["legacy", "btauth"])
async def test_the_budget_is_held_until_the_reply(dialect: str, size: int, make_axon: MakeAxon) -> None:
    slow = Slow()
    body = request_body(b"x" * size)
    axon = await make_axon(predictor=kit.CountingPredictor(slow), verified_body_budget=len(body) + size // 2)

    def headers() -> dict[str, str]:
        return kit.signed() if dialect == "legacy" else kit.btauth(body)

    asked = asyncio.create_task(axon.ask(headers=headers(), body=body))
    while not axon.predictor.images:
        await asyncio.sleep(0.005)
    assert axon.server._app._verified.used == size
    assert (await axon.ask(headers=headers(), body=body)).status == 503
    assert axon.counted(503, "body_budget", dialect) == 1
    slow.release.set()
    assert (await asked).status == 200
    assert axon.server._app._verified.used == axon.server._app._unverified.used == 0
    assert (await axon.ask(headers=headers(), body=body)).status == 200


@pytest.mark.parametrize("body", [b"{" * 2 * MIB, b'{"image": "?"}'], ids=["large", "small"])
async def test_a_refused_body_gives_its_budget_back(body: bytes, axon: Axon) -> None:
    assert (await axon.ask(body=body)).status == 400
    assert axon.server._app._verified.used == 0


async def test_only_the_image_lives_while_the_model_runs(make_axon: MakeAxon) -> None:
    slow = Slow()
    axon = await make_axon(predictor=kit.CountingPredictor(slow))
    image = b"x" * (8 * MIB)
    request = kit.encode("POST", "/ImageSynapse", kit.signed(), request_body(image))
    tracemalloc.start(1)
    try:
        asked = asyncio.create_task(axon.raw(request))
        while not axon.predictor.images:
            await asyncio.sleep(0.01)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    slow.release.set()
    assert (await asked).status == 200
    assert len(image) < held < 1.25 * len(image)


REFUSALS = {
    "gate": (503, "draining", {"gate": Gate}, "ALICE"),
    "budget": (503, "body_budget", {"verified_body_budget": MIB}, "ALICE"),
    "too large": (413, "too_large", {"max_body_bytes": 22 * MIB}, "ALICE"),
    "stranger": (403, "unknown_hotkey", {}, "EVE"),
    "quota": (429, "quota", {"quota_per_minute": 1.0}, "ALICE"),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
async def test_who_sends_a_large_body_can_read_the_refusal(case: Any, make_axon: MakeAxon) -> None:
    status, reason, settings, signer = case
    settings = {name: value() if value is Gate else value for name, value in settings.items()}
    axon = await make_axon(**settings)
    if reason == "quota":
        assert (await axon.ask()).status == 200
    if gate := settings.get("gate"):
        gate.closed = reason
    headers = kit.signed(getattr(kit, signer))
    answered, fields = await asyncio.to_thread(post, axon.port, headers, b"x" * (29 * MIB))
    assert (answered, axon.counted(status, reason)) == (status, 1)
    assert fields["message"]


async def test_a_refused_body_that_never_ends_is_not_waited_for(make_axon: MakeAxon) -> None:
    gate = Gate("draining")
    axon = await make_axon(gate=gate, body_timeout_s=0.1)
    reader, writer = await axon.connect()
    writer.write(kit.encode("POST", "/ImageSynapse", kit.signed() | {"content-length": "1000"}, b"{"))
    assert (await kit.read_reply(reader)).headers["connection"] == "close"
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_nothing_is_served_after_a_refusal_that_closes(make_axon: MakeAxon) -> None:
    axon = await make_axon(gate=Gate("draining"))
    reader, writer = await axon.connect()
    writer.write(kit.encode("POST", "/ImageSynapse", kit.signed() | {"content-length": "10"}, b"{"))
    assert (await kit.read_reply(reader)).status == 503
    writer.write(b"x" * 9 + b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert axon.counted(200, "greeting", "none") == 0


async def test_a_body_that_cannot_fit_is_refused_before_it_comes(make_axon: MakeAxon) -> None:
    axon = await make_axon(verified_body_budget=MIB)
    reply = await axon.ask(headers=kit.signed() | {"content-length": str(2 * MIB)}, body=b"")
    assert (reply.status, axon.counted(503, "body_budget")) == (503, 1)


async def test_a_large_picture_keeps_its_connection_and_counts_as_no_header(axon: Axon) -> None:
    """The end of a body and the next head share a limit's counter, not its meaning."""
    connection = http.client.HTTPConnection("127.0.0.1", axon.port, timeout=20)

    def ask() -> tuple[int, str | None]:
        connection.request("POST", "/ImageSynapse", request_body(b"x" * MIB), kit.signed())
        reply = connection.getresponse()
        reply.read()
        return reply.status, reply.getheader("connection")

    try:
        for _ in range(3):
            assert await asyncio.to_thread(ask) == (200, None)
            assert connection.sock is not None, "the miner closed it"
    finally:
        connection.close()
    assert axon.counted(431, "huge_headers", "none") == 0
    assert axon.counted(200, "ok", "legacy") == 3
