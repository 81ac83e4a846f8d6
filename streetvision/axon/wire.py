"""The two dialects on the wire, parsed and built: pure functions, no I/O, no clock.

Both are `POST /{synapse}` with a JSON object whose image field is a base64 string; both are answered with JSON.

legacy (dendrites of bittensor 9.x and 10.x): identity in `bt_header_*` headers; the signature covers nonce, hotkeys,
    uuid and `computed_body_hash`. That hash is of an empty string unless the synapse declares hashed fields; any other
    must be the hash of the image field, so that a validator that starts to authenticate its images is understood.
    Reply: `{"prediction": p}` and `bt_header_*` headers. The image is not echoed. Errors: `{"message"}` and
    `bt_header_axon_status_code`.
btauth/1 (bittensor 11's `http_auth`, chosen by `X-Bittensor-Version`): the signature covers method, path and the raw
    body, which is just `{"image": base64}`. Reply: `{"prediction": p}`. Errors: `{"status", "message"}`.

The base64 is decoded strictly, except that white space (line-wrapped base64) is skipped; a data-URL prefix, the
URL-safe alphabet and missing padding are refused: no validator sends them, and a wrong guess at what was meant would
score worse than an error.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from math import isfinite
from typing import Any, NamedTuple

import pybase64

from streetvision.axon.identity import BTAUTH_HEADERS, LEGACY_HEADERS, unidentified
from streetvision.subnet import SUBNET

JSON_HEAD = b"content-type: application/json\r\n"
EMPTY_HASH = hashlib.sha3_256(b"").hexdigest()
PATH = f"/{SUBNET.synapse}"
SMALL_BODY = 1 << 20
"""Bodies up to this size are parsed on the event loop (0.4 ms at most); larger ones in a thread."""

_HOTKEY = re.compile(rb"[1-9A-HJ-NP-Za-km-z]{46,49}")
_NONCE = re.compile(rb"[0-9]{1,20}")
_UUID = re.compile(rb"[0-9A-Za-z-]{1,64}")
_SIGNATURE = re.compile(rb"(?:0x)?([0-9a-fA-F]{128})")
_VERSION = re.compile(rb"1")
_HASH = re.compile(rb"[0-9a-f]{64}")
_TIMEOUT = re.compile(rb"[0-9]{1,9}(?:\.[0-9]{1,20})?")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_SPACE = dict.fromkeys(map(ord, " \t\r\n"))


class Dialect(StrEnum):
    """How a caller speaks, which decides how it is answered."""

    LEGACY = "legacy"
    BTAUTH = "btauth"
    NONE = "none"


class Refused(Exception):
    """A request that gets an error status; `reason` is a stable metric label, `message` is safe to send to anyone."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


class WireError(Refused):
    """The request itself is malformed; the only exception that parsing raises."""


class Call(NamedTuple):
    """What a request's headers claim; nothing in it is true before the signature verifies."""

    dialect: Dialect
    hotkey: str
    nonce: int
    """Nanoseconds of Unix time, by the caller's clock."""
    uuid: str
    signature: bytes
    timeout_s: float
    body_hash: str = EMPTY_HASH
    scheme: str = "sr25519"


def dialect_of(headers: Mapping[bytes, bytes]) -> Dialect:
    """Which dialect the headers (names in lower case) speak; one header of an identity is enough to say."""
    if b"x-bittensor-version" in headers:
        return Dialect.BTAUTH
    if not LEGACY_HEADERS.isdisjoint(headers):
        return Dialect.LEGACY
    return Dialect.NONE if BTAUTH_HEADERS.isdisjoint(headers) else Dialect.BTAUTH


def check_framing(headers: Mapping[bytes, bytes], max_body_bytes: int) -> int | None:
    """Judge length and encodings before anything else is looked at; the declared length in bytes, None when chunked."""
    if b"upgrade" in headers:
        raise WireError(400, "upgrade", "This server does not upgrade connections.")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise WireError(415, "encoding", "Encoded bodies are not accepted: send plain JSON.")
    if b"transfer-encoding" in headers:
        if headers[b"transfer-encoding"].lower() != b"chunked":
            raise WireError(415, "encoding", "The only transfer encoding accepted is chunked.")
        return None
    length = headers.get(b"content-length")
    if length is None:
        raise WireError(411, "no_length", "The request has no body: send Content-Length.")
    if _LENGTH.fullmatch(length) is None:
        raise WireError(400, "malformed", "Content-Length is malformed.")
    if int(length) > max_body_bytes:
        raise too_large(max_body_bytes)
    return int(length)


def too_large(limit: int) -> WireError:
    """The refusal of a body above `limit` bytes."""
    return WireError(413, "too_large", f"The body is larger than {limit} bytes.")


def parse_call(dialect: Dialect, headers: Mapping[bytes, bytes], own_hotkey: str) -> Call:
    """Read who calls; raises WireError.

    Without any identity, or with a malformed one, the request is malformed (400); with a part of it missing, or meant
    for another miner, it cannot be verified (401).
    """
    if dialect is Dialect.BTAUTH:
        return _parse_btauth(headers, own_hotkey)
    if dialect is Dialect.LEGACY:
        return _parse_legacy(headers, own_hotkey)
    raise WireError(400, *unidentified(headers))


def _take(headers: Mapping[bytes, bytes], name: bytes, shape: re.Pattern[bytes]) -> str:
    value = headers.get(name)
    if value is None:
        raise _missing(name)
    if shape.fullmatch(value) is None:
        raise WireError(400, "malformed_header", f"The header {name.decode()} is malformed.")
    return value.decode("ascii")


def _missing(name: bytes) -> WireError:
    return WireError(401, "missing_header", f"The header {name.decode()} is missing.")


def _signature(headers: Mapping[bytes, bytes], name: bytes) -> bytes:
    return bytes.fromhex(_take(headers, name, _SIGNATURE).removeprefix("0x"))


def _timeout(headers: Mapping[bytes, bytes]) -> float:
    """The caller's own limit, never longer than the subnet's: it is not signed, so it may only shorten."""
    if b"timeout" not in headers:
        return SUBNET.timeout_s
    timeout = float(_take(headers, b"timeout", _TIMEOUT))
    if timeout <= 0:
        raise WireError(400, "malformed_header", "The header timeout is not positive.")
    return min(timeout, SUBNET.timeout_s)


def _parse_legacy(headers: Mapping[bytes, bytes], own_hotkey: str) -> Call:
    if headers.get(b"name", SUBNET.synapse.encode()) != SUBNET.synapse.encode():
        raise WireError(404, "unknown_synapse", "This miner does not serve that synapse.")
    call = Call(
        dialect=Dialect.LEGACY,
        hotkey=_take(headers, b"bt_header_dendrite_hotkey", _HOTKEY),
        nonce=int(_take(headers, b"bt_header_dendrite_nonce", _NONCE)),
        uuid=_take(headers, b"bt_header_dendrite_uuid", _UUID),
        signature=_signature(headers, b"bt_header_dendrite_signature"),
        timeout_s=_timeout(headers),
        body_hash=_take(headers, b"computed_body_hash", _HASH) if b"computed_body_hash" in headers else EMPTY_HASH,
    )
    if b"bt_header_axon_hotkey" in headers:
        _check_receiver(headers[b"bt_header_axon_hotkey"], own_hotkey)
    return call


def _parse_btauth(headers: Mapping[bytes, bytes], own_hotkey: str) -> Call:
    _take(headers, b"x-bittensor-version", _VERSION)
    scheme = headers.get(b"x-bittensor-crypto", b"sr25519")
    if scheme not in (b"sr25519", b"ed25519"):
        raise WireError(400, "malformed_header", "X-Bittensor-Crypto must be sr25519 or ed25519.")
    call = Call(
        dialect=Dialect.BTAUTH,
        hotkey=_take(headers, b"x-bittensor-hotkey", _HOTKEY),
        nonce=int(_take(headers, b"x-bittensor-nonce", _NONCE)),
        uuid="",
        signature=_signature(headers, b"x-bittensor-signature"),
        timeout_s=_timeout(headers),
        scheme=scheme.decode(),
    )
    if b"x-bittensor-receiver" not in headers:
        raise _missing(b"x-bittensor-receiver")
    _check_receiver(headers[b"x-bittensor-receiver"], own_hotkey)
    return call


def _check_receiver(receiver: bytes, own_hotkey: str) -> None:
    if receiver != own_hotkey.encode():
        raise WireError(401, "wrong_receiver", "The request is not addressed to this miner's hotkey.")


def legacy_message(call: Call, own_hotkey: str) -> bytes:
    """The bytes that a legacy caller signed."""
    return f"{call.nonce}.{call.hotkey}.{own_hotkey}.{call.uuid}.{call.body_hash}".encode()


def parse_body(body: bytes | bytearray, body_hash: str = EMPTY_HASH) -> bytes:
    """The image bytes inside a request body; raises WireError on anything else.

    Linear in the body: about 0.4 ms per MB, nearly all of it JSON (pybase64 is 30 times as fast as binascii).
    """
    image = _image_field(body)
    if body_hash != EMPTY_HASH and body_hash != hash_of_image(image):
        raise WireError(400, "body_hash", "The body does not match computed_body_hash.")
    decoded = decode_base64(image)
    if not decoded:
        raise WireError(400, "empty_image", f"The field {SUBNET.image_field} is empty.")
    return decoded


def _image_field(body: bytes | bytearray) -> str:
    try:
        fields: Any = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise WireError(400, "bad_json", "The body is not valid JSON.") from None
    if not isinstance(fields, dict):
        raise WireError(400, "bad_json", "The body is not a JSON object.")
    image = fields.get(SUBNET.image_field)
    if not isinstance(image, str):
        raise WireError(400, "missing_image", f"The field {SUBNET.image_field} is missing or not a string.")
    return image


def hash_of_image(image: str) -> str:
    """`computed_body_hash` of a synapse whose only hashed field is the image, as the dendrite computes it."""
    return hashlib.sha3_256(hashlib.sha3_256(image.encode("utf-8", "surrogatepass")).hexdigest().encode()).hexdigest()


def decode_base64(text: str) -> bytes:
    """Strict base64 with white space skipped; raises WireError."""
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        unwrapped = text.translate(_SPACE)
    try:
        return pybase64.b64decode(unwrapped, validate=True)
    except ValueError:
        raise WireError(400, "not_base64", f"The field {SUBNET.image_field} is not base64.") from None


def answer_body(probability: float) -> bytes:
    """The reply to a request that was answered; raises ValueError for what must never be sent (NaN, outside [0, 1])."""
    if not (isfinite(probability) and 0.0 <= probability <= 1.0):
        raise ValueError(f"not a probability: {probability!r}")
    return b'{"%s":%s}' % (SUBNET.answer_field.encode(), repr(float(probability)).encode())


def answer_head(call: Call, own_hotkey: str, process_time_s: float) -> bytes:
    """Header lines of a successful reply: what a dendrite merges into its synapse, of checked shape throughout."""
    if call.dialect is not Dialect.LEGACY:
        return JSON_HEAD
    return (
        f"content-type: application/json\r\nname: {SUBNET.synapse}\r\n"
        "bt_header_axon_status_code: 200\r\nbt_header_axon_status_message: Success\r\n"
        f"bt_header_axon_process_time: {process_time_s:.6f}\r\nbt_header_axon_hotkey: {own_hotkey}\r\n"
        f"bt_header_dendrite_hotkey: {call.hotkey}\r\ncomputed_body_hash: {call.body_hash}\r\n"
    ).encode()


def error_reply(dialect: Dialect, refused: Refused) -> tuple[bytes, bytes]:
    """Header lines and body of a refusal, in the caller's dialect; nothing the caller sent is in them."""
    if dialect is Dialect.BTAUTH:
        return JSON_HEAD, json.dumps({"status": refused.status, "message": refused.message}).encode()
    body = json.dumps({"message": refused.message}).encode()
    if dialect is Dialect.NONE:
        return JSON_HEAD, body
    message = "".join(c if " " <= c <= "~" else " " for c in refused.message[:200])
    status = f"bt_header_axon_status_code: {refused.status}\r\nbt_header_axon_status_message: {message}\r\n"
    return JSON_HEAD + status.encode(), body
