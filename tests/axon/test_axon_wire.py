from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.axon import wire
from streetvision.axon.wire import Dialect, WireError

OWN = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
GOOD = {
    b"bt_header_dendrite_hotkey": b"5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
    b"bt_header_dendrite_nonce": b"1700000000000000000",
    b"bt_header_dendrite_uuid": b"a-b",
    b"bt_header_dendrite_signature": b"0x" + b"ab" * 64,
    b"computed_body_hash": wire.EMPTY_HASH.encode(),
    b"timeout": b"9.0",
    b"x-bittensor-version": b"1",
    b"x-bittensor-hotkey": b"5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
    b"x-bittensor-nonce": b"1700000000000000000",
    b"x-bittensor-receiver": OWN.encode(),
    b"x-bittensor-signature": b"ab" * 64,
    b"content-length": b"10",
    b"transfer-encoding": b"chunked",
}
values = st.one_of(st.sampled_from(sorted(GOOD.values())), st.binary(max_size=40))
any_headers = st.dictionaries(st.one_of(st.sampled_from(sorted(GOOD)), st.binary(max_size=20)), values)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["image", "prediction", "x"]), inner),
    max_leaves=6,
)


@given(any_headers)
def test_any_headers_parse_or_are_refused(headers: dict[bytes, bytes]) -> None:
    try:
        wire.check_framing(headers, 1000)
        call = wire.parse_call(wire.dialect_of(headers), headers, OWN)
    except WireError as error:
        assert 400 <= error.status < 500
    else:
        assert 0 < call.timeout_s <= 9.0
        assert len(call.signature) == 64


@given(st.one_of(st.binary(), json_values.map(lambda value: json.dumps(value).encode())))
def test_any_body_parses_or_is_refused(body: bytes) -> None:
    try:
        image = wire.parse_body(body)
    except WireError as error:
        assert error.status == 400
    else:
        assert isinstance(image, bytes)
        assert image


@given(st.binary(min_size=1))
def test_every_image_survives(image: bytes) -> None:
    assert wire.parse_body(json.dumps({"image": base64.b64encode(image).decode()}).encode()) == image


def test_line_wrapped_base64_is_understood() -> None:
    image = bytes(range(251)) * 100
    assert wire.decode_base64(base64.encodebytes(image).decode()) == image


@pytest.mark.parametrize("text", ["QUI", "QUI=QUJD", "=", "QUJD====", "QUJD-_==", "data:,QUJD", "\ud800", "é"])
def test_what_is_not_strict_base64_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        wire.decode_base64(text)


def test_the_callers_timeout_only_shortens() -> None:
    def timeout(value: bytes) -> float:
        return wire.parse_call(Dialect.LEGACY, GOOD | {b"timeout": value}, OWN).timeout_s

    assert [timeout(value) for value in (b"3.5", b"9", b"12.0", b"999999")] == [3.5, 9.0, 9.0, 9.0]
    without = {k: v for k, v in GOOD.items() if k != b"timeout"}
    assert wire.parse_call(Dialect.LEGACY, without, OWN).timeout_s == 9.0


def test_a_hash_over_the_image_is_checked() -> None:
    body = b'{"image": "QUJD"}'
    assert wire.parse_body(body, wire.hash_of_image("QUJD")) == b"ABC"
    with pytest.raises(WireError) as error:
        wire.parse_body(body, wire.hash_of_image("QUJE"))
    assert error.value.reason == "body_hash"


@given(st.floats(0.0, 1.0))
def test_probabilities_round_trip(probability: float) -> None:
    assert json.loads(wire.answer_body(probability)) == {"prediction": probability}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1.0001])
def test_everything_else_is_never_sent(value: float) -> None:
    with pytest.raises(ValueError, match="not a probability"):
        wire.answer_body(value)


@given(st.sampled_from(list(Dialect)), st.text())
def test_errors_are_json_in_every_dialect(dialect: Dialect, message: str) -> None:
    head, body = wire.error_reply(dialect, wire.Refused(400, "x", message))
    parsed: Any = json.loads(body)
    assert parsed["message"] == message
    lines = head.decode("ascii").split("\r\n")
    assert len(lines) == (4 if dialect is Dialect.LEGACY else 2)
    assert all(": " in line and line.isprintable() for line in lines[:-1])
