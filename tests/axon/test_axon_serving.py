"""Requests over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from streetvision.axon.admission import Admission
from streetvision.axon.app import AxonApp
from streetvision.axon.client import request_body
from streetvision.axon.config import AxonConfig
from streetvision.axon.exchange import Clock
from streetvision.axon.metrics import AxonMetrics
from streetvision.axon.refusals import Refusals
from streetvision.axon.server import OpenGate
from streetvision.axon.signatures import verify
from streetvision.engine.types import BadImage, DeadlineMissed, EngineClosed, Overloaded, RunnerFailure

from . import conftest as kit
from .conftest import Axon, MakeAxon


async def test_a_signed_request_is_answered(axon: Axon) -> None:
    reply = await axon.ask()
    assert reply.status == 200
    assert reply.json == {"prediction": 0.75}
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["bt_header_axon_status_code"] == "200"
    assert float(reply.headers["bt_header_axon_process_time"]) > 0
    assert axon.predictor.images == [b"image"]
    assert axon.predictor.priorities == [1000.0]
    assert axon.counted(200, "ok") == 1
    for stage in ("admission", "body", "predict", "reply"):
        assert axon.sample("stage_seconds_count", stage=stage) == 1


async def test_unverified_bodies_are_few_at_once(make_axon: MakeAxon) -> None:
    axon = await make_axon(max_unverified_bodies=1)
    body = request_body(b"image")
    reader, writer = await axon.connect()
    writer.write(kit.encode("POST", "/ImageSynapse", kit.btauth(body), body)[:-5])
    await asyncio.sleep(0.05)
    assert (await axon.ask(headers=kit.btauth(body), body=body)).status == 503
    assert (await axon.ask()).status == 200
    writer.write(body[-5:])
    assert (await kit.read_reply(reader)).status == 200
    writer.close()


async def test_get_greets_operators(axon: Axon) -> None:
    reply = await axon.ask("GET", "/", {}, b"")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert axon.counted(200, "greeting", "none") == 1


async def test_keep_alive_serves_many_requests_on_one_connection(axon: Axon) -> None:
    reader, writer = await axon.connect()
    for turn in range(5):
        headers = kit.signed(kit.EVE) if turn == 2 else kit.signed()
        writer.write(kit.encode("POST", "/ImageSynapse", headers, request_body(b"image")))
        assert (await kit.read_reply(reader)).status == (403 if turn == 2 else 200)
    writer.close()
    assert len(axon.predictor.images) == 4


async def test_ten_concurrent_requests_of_one_dendrite(axon: Axon) -> None:
    headers = [kit.signed(uuid="one-uuid", age_s=0.05 * (n % 4)) for n in range(10)]
    replies = await asyncio.gather(*(axon.ask(headers=h) for h in reversed(headers)))
    assert [reply.status for reply in replies] == [200] * 10


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_ipv4_and_ipv6_on_one_port(make_axon: MakeAxon) -> None:
    axon = await make_axon(hosts=("0.0.0.0", "::"))
    assert [(await axon.ask(host=host)).status for host in ("127.0.0.1", "::1")] == [200, 200]


async def test_a_large_body_is_parsed_off_the_loop(axon: Axon) -> None:
    image = bytes(range(256)) * 16_000
    reply = await axon.ask(body=request_body(image))
    assert (reply.status, axon.predictor.images == [image]) == (200, True)


async def test_chunked_bodies_are_answered(axon: Axon) -> None:
    body = request_body(b"image")
    chunks = b"%x\r\n%b\r\n0\r\nx-trailer: 1\r\n\r\n" % (len(body), body)
    assert (await axon.ask(headers=kit.signed() | {"transfer-encoding": "chunked"}, body=chunks)).status == 200


async def test_quota(make_axon: MakeAxon) -> None:
    axon = await make_axon(quota_per_minute=2, quota_burst=120)
    assert [(await axon.ask()).status for _ in range(3)] == [200, 200, 429]
    assert (await axon.ask(headers=kit.signed(kit.BOB))).status == 200
    assert axon.counted(429, "quota") == 1


async def test_a_forger_cannot_spend_a_validators_quota(make_axon: MakeAxon) -> None:
    axon = await make_axon(quota_per_minute=1, quota_burst=1)
    for _ in range(3):
        forged = kit.signed() | {"bt_header_dendrite_signature": "0x" + "ab" * 64}
        assert (await axon.ask(headers=forged)).status == 401
    assert (await axon.ask()).status == 200


async def test_the_deadline_is_the_callers(make_axon: MakeAxon) -> None:
    frozen = Clock(monotonic=lambda: 1000.0)
    axon = await make_axon(clock=frozen, deadline_margin_s=0.5)
    await axon.ask()
    await axon.ask(headers=kit.signed(timeout_s=3.0))
    await axon.ask(headers=kit.signed(timeout_s=600.0))
    assert axon.predictor.deadlines == pytest.approx([1008.5, 1002.5, 1008.5], abs=0.2)


async def test_transit_shortens_the_deadline_and_skew_does_not(make_axon: MakeAxon) -> None:
    axon = await make_axon(clock=Clock(monotonic=lambda: 1000.0), deadline_margin_s=0.5)
    await axon.ask(headers=kit.signed(age_s=8.0))
    await axon.ask(headers=kit.signed(age_s=10.0))
    await axon.ask(headers=kit.signed(kit.BOB, age_s=-8.0))
    assert axon.predictor.deadlines == pytest.approx([1008.5, 1006.5, 1008.5], abs=0.2)


ENGINE_ERRORS = [(BadImage, 400), (Overloaded, 503), (EngineClosed, 503), (DeadlineMissed, 503), (RunnerFailure, 500)]


@pytest.mark.parametrize(("error", "status"), ENGINE_ERRORS)
async def test_engine_errors_have_statuses(error: Any, status: int, make_axon: MakeAxon) -> None:
    async def fail(image: bytes) -> Any:
        raise error("said the engine")

    axon = await make_axon(predictor=kit.CountingPredictor(fail))
    reply = await axon.ask()
    assert (reply.status, reply.json) == (status, {"message": "said the engine"})
    assert axon.counted(status, error.reason) == 1


async def test_a_deadline_that_the_caller_wasted_is_408(make_axon: MakeAxon) -> None:
    async def fail(image: bytes) -> Any:
        raise DeadlineMissed("late")

    ticks = iter([0.0, *[6.0] * 100])
    axon = await make_axon(clock=Clock(monotonic=lambda: next(ticks)), predictor=kit.CountingPredictor(fail))
    assert (await axon.ask()).status == 408


async def test_a_request_out_of_time_costs_no_inference(make_axon: MakeAxon) -> None:
    ticks = iter([0.0, 0.0, 0.0, 0.0, *[9.0] * 100])
    axon = await make_axon(clock=Clock(monotonic=lambda: next(ticks)))
    assert (await axon.ask()).status == 408
    assert axon.predictor.images == []
    assert axon.counted(408, "late") == 1


@pytest.mark.parametrize("value", [float("nan"), 1.5, -1.0])
async def test_what_is_no_probability_is_never_sent(value: float, make_axon: MakeAxon) -> None:
    async def answer(image: bytes) -> Any:
        return kit.prediction(value)

    axon = await make_axon(predictor=kit.CountingPredictor(answer))
    assert (await axon.ask()).status == 500


async def test_a_predictor_that_hangs_is_given_up(make_axon: MakeAxon) -> None:
    async def hang(image: bytes) -> Any:
        await asyncio.sleep(60)

    axon = await make_axon(predictor=kit.CountingPredictor(hang), deadline_margin_s=0.1)
    reply = await axon.ask(headers=kit.signed(timeout_s=0.2))
    assert (reply.status, axon.counted(503, "deadline")) == (503, 1)


async def test_records_follow_the_reply(axon: Axon) -> None:
    await axon.ask()
    await axon.ask(headers=kit.signed(kit.EVE))
    await axon.ask(path="/x")
    ok, refused = axon.records
    assert (ok.hotkey, ok.uid, ok.status, ok.reason, ok.image) == (kit.ALICE.ss58_address, 0, 200, "ok", b"image")
    assert ok.authenticated
    assert ok.prediction is not None
    assert ok.prediction.probability == 0.75
    assert ok.headroom is not None
    assert 0 < ok.headroom < 9
    assert ok.stages.admission > 0
    assert (refused.reason, refused.authenticated, refused.image) == ("unknown_hotkey", False, None)


async def test_a_forged_request_is_recorded_as_nobodys(axon: Axon) -> None:
    await axon.ask(headers=kit.signed() | {"bt_header_dendrite_signature": "0x" + "ab" * 64})
    body = request_body(b"image")
    await axon.ask(headers=kit.btauth(body) | {"X-Bittensor-Signature": "0x" + "ab" * 64}, body=body)
    for record in axon.records:
        assert (record.reason, record.authenticated) == ("bad_signature", False)
        assert (record.hotkey, record.uid, record.stake) == (kit.ALICE.ss58_address, None, 0.0)
        assert (record.image, record.prediction) == (None, None)
    assert len(axon.records) == 2


async def test_an_exception_in_a_listener_is_counted_and_not_felt(make_axon: MakeAxon) -> None:
    def explode(record: Any) -> None:
        raise ValueError("a bug")

    axon = await make_axon(heard=[explode])
    assert [(await axon.ask()).status for _ in range(2)] == [200, 200]
    assert axon.sample("hook_failures_total") == 2
    assert len(axon.records) == 2, "the next listener is told all the same"


async def test_a_flood_of_strangers_is_paced(make_axon: MakeAxon) -> None:
    axon = await make_axon(junk_per_second=1.0, junk_delay_s=30.0)
    assert (await axon.ask("GET", "/x", {}, b"")).status == 404
    waiting = [asyncio.create_task(axon.ask("GET", "/x", {}, b"")) for _ in range(3)]
    assert (await axon.ask()).status == 200
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_stock_shape_of_the_error_body(axon: Axon) -> None:
    reply = await axon.ask(headers=kit.signed(kit.EVE))
    assert json.loads(reply.body) == {"message": "The hotkey is not registered on this subnet."}


async def test_head_has_no_body(axon: Axon) -> None:
    reader, writer = await axon.connect()
    writer.write(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body == b""
    writer.close()


async def test_an_engines_message_cannot_forge_headers(make_axon: MakeAxon) -> None:
    async def refuse(image: bytes) -> Any:
        raise BadImage("bad\r\nx-forged: 1\r\n\r\nbody")

    axon = await make_axon(predictor=kit.CountingPredictor(refuse))
    reply = await axon.ask()
    assert (reply.status, "x-forged" in reply.headers) == (400, False)


async def test_a_bug_in_the_predictor_is_500_and_tells_nothing(make_axon: MakeAxon) -> None:
    async def crash(image: bytes) -> Any:
        raise KeyError("secret")

    axon = await make_axon(predictor=kit.CountingPredictor(crash))
    reply = await axon.ask()
    assert (reply.status, b"secret" in reply.body) == (500, False)
    assert axon.counted(500, "internal") == 1


async def test_a_caller_that_leaves_is_counted(axon: Axon) -> None:
    _, writer = await axon.connect()
    writer.write(kit.encode("POST", "/ImageSynapse", kit.signed() | {"content-length": "1000"}, b"{"))
    await asyncio.sleep(0.05)
    writer.close()
    while not axon.counted(499, "disconnected"):
        await asyncio.sleep(0.005)
    assert axon.predictor.images == []


async def test_a_caller_that_leaves_cancels_its_prediction(make_axon: MakeAxon) -> None:
    ended: list[str] = []

    async def hang(image: bytes) -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    axon = await make_axon(predictor=kit.CountingPredictor(hang))
    _, writer = await axon.connect()
    writer.write(kit.encode("POST", "/ImageSynapse", kit.signed(), request_body(b"image")))
    while not axon.predictor.images:
        await asyncio.sleep(0.005)
    writer.close()
    assert await axon.server.drain(5.0)
    assert (ended, axon.counted(499, "disconnected")) == (["cancelled"], 1)
    assert [(r.status, r.authenticated, r.image) for r in axon.records] == [(499, True, b"image")]
    axon.predictor.answer = None
    assert (await axon.ask()).status == 200


async def test_the_application_runs_on_any_asgi_server() -> None:
    config = AxonConfig(hotkey=kit.MINER.ss58_address)
    admission = Admission(config, lambda: kit.SNAPSHOT, OpenGate(), verify)
    app = AxonApp(config, kit.CountingPredictor(), admission, AxonMetrics(CollectorRegistry()), Refusals(Clock()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://miner") as client:
        answered = await client.post("/ImageSynapse", headers=kit.signed(), content=request_body(b"image"))
        refused = await client.get("/x")
    assert (answered.status_code, answered.json()) == (200, {"prediction": 0.75})
    assert answered.headers["bt_header_axon_status_code"] == "200"
    assert refused.status_code == 404
