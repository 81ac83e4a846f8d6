"""btauth/1 over real sockets: answered, refused in plain JSON, not replayed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from streetvision.axon.client import request_body

from . import conftest as kit
from .conftest import Axon


async def test_btauth_is_answered(axon: Axon) -> None:
    body = request_body(b"image")
    reply = await axon.ask(headers=kit.btauth(body), body=body)
    assert (reply.status, reply.json) == (200, {"prediction": 0.75})
    assert axon.counted(200, "ok", "btauth") == 1
    assert axon.predictor.images == [b"image"]


async def test_btauth_signs_the_query_too(axon: Axon) -> None:
    body = request_body(b"image")
    headers = kit.btauth(body, path="/ImageSynapse?a=b")
    assert (await axon.ask(path="/ImageSynapse?a=b", headers=headers, body=body)).status == 200
    headers = kit.btauth(body, path="/ImageSynapse?a=b")
    assert (await axon.ask(path="/ImageSynapse", headers=headers, body=body)).status == 401


BTAUTH_REFUSED = {
    "tampered body": (401, "bad_signature", {"body": b"{}"}, {}),
    "another path": (401, "bad_signature", {"path": "/x"}, {}),
    "no receiver": (401, "missing_header", {"receiver_ss58": None}, {}),
    "stale": (401, "stale_nonce", {"nonce_ns": -11}, {}),
    "future": (401, "future_nonce", {"nonce_ns": 3}, {}),
    "version": (400, "malformed_header", {}, {"X-Bittensor-Version": "2"}),
    "scheme": (400, "malformed_header", {}, {"X-Bittensor-Crypto": "ecdsa"}),
    "nonce": (400, "malformed_header", {}, {"X-Bittensor-Nonce": "x"}),
    "signature": (400, "malformed_header", {}, {"X-Bittensor-Signature": "0xzz"}),
}


@pytest.mark.parametrize("case", BTAUTH_REFUSED.values(), ids=BTAUTH_REFUSED.keys())
async def test_btauth_refusals_in_plain_json(case: Any, axon: Axon) -> None:
    status, reason, changes, headers = case
    if "nonce_ns" in changes:
        changes = {"nonce_ns": time.time_ns() + changes["nonce_ns"] * 1_000_000_000}
    body = request_body(b"image")
    reply = await axon.ask(headers=kit.btauth(body, **changes) | headers, body=body)
    assert (reply.status, reply.json["status"]) == (status, status)
    assert reply.json["message"]
    assert axon.counted(status, reason, "btauth") == 1
    assert axon.predictor.images == []


async def test_btauth_replay_and_strangers(axon: Axon) -> None:
    body = request_body(b"image")
    headers = kit.btauth(body)
    assert [(await axon.ask(headers=headers, body=body)).status for _ in range(2)] == [200, 401]
    assert (await axon.ask(headers=kit.btauth(body, kit.EVE), body=body)).status == 403
    assert axon.counted(403, "unknown_hotkey", "btauth") == 1


@pytest.mark.parametrize("missing", ["Version", "Hotkey", "Nonce", "Signature"])
async def test_a_part_of_the_identity_is_missing(missing: str, axon: Axon) -> None:
    body = request_body(b"image")
    headers = kit.btauth(body)
    del headers[f"X-Bittensor-{missing}"]
    reply = await axon.ask(headers=headers, body=body)
    assert (reply.status, reply.json["status"]) == (401, 401)
    assert axon.counted(401, "missing_header", "btauth") == 1
