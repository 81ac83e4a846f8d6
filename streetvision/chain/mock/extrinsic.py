# ruff: noqa: ANN401 - the SDK's Substrate protocol passes calls and keys untyped
"""Extrinsics of the mocked chain as bytes: made, signed, verified and admitted as a node's pool does it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from bittensor.sp_core import Keypair

from streetvision.chain.mock.calls import HOTKEY_CALLS, fee_of, fee_payer
from streetvision.chain.mock.errors import pool_error
from streetvision.chain.mock.state import SubnetState


@dataclass(frozen=True)
class MockCall:
    """A composed call; `data` is canonical JSON where the real chain has SCALE."""

    data: bytes


@dataclass(frozen=True)
class Extrinsic:
    """A decoded, verified extrinsic."""

    hash: str
    signer: str
    nonce: int
    call: tuple[str, str]
    params: Mapping[str, Any]


def canonical(value: Any) -> bytes:
    """The one JSON encoding of a value that is signed and hashed; bytes become 0x-hex."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), default=lambda raw: "0x" + bytes(raw).hex()
    ).encode()


def digest(raw: bytes) -> str:
    """The hash under which an extrinsic is known."""
    return "0x" + blake2b(raw, digest_size=32).hexdigest()


async def signed(call: MockCall, keypair: Any, nonce: int, period: int | None) -> bytes:
    """An extrinsic's bytes, signed by anything with `ss58_address` and a plain or async `sign`."""
    body = {"call": json.loads(call.data), "signer": keypair.ss58_address, "nonce": nonce, "period": period}
    signature = keypair.sign(canonical(body))
    if inspect.isawaitable(signature):
        signature = await signature
    return canonical({**body, "signature": bytes(signature)})


class Rejected(Exception):
    """The pool refused an extrinsic; `error` is what the SDK would make of the node's words."""

    def __init__(self, reason: str) -> None:
        self.error = pool_error(reason)
        super().__init__(reason)


def decode(raw: bytes) -> Extrinsic:
    """An extrinsic from its bytes, its sr25519 signature verified."""
    body = json.loads(raw)
    signature = bytes.fromhex(body.pop("signature").removeprefix("0x"))
    module, function, params = body["call"]
    try:
        genuine = Keypair(ss58_address=body["signer"]).verify(canonical(body), signature)
    except ValueError:
        genuine = False
    if not genuine:
        raise Rejected("Transaction has a bad signature")
    return Extrinsic(digest(raw), body["signer"], body["nonce"], (module, function), params)


def check_pool(state: SubnetState, extrinsic: Extrinsic) -> None:
    """What a node's pool refuses before inclusion: a wrong nonce, an unknown hotkey, a fee that cannot be paid."""
    expected = state.nonces.get(extrinsic.signer, 0)
    if extrinsic.nonce < expected:
        raise Rejected("Transaction is outdated")
    if extrinsic.nonce > expected:
        raise Rejected("Transaction will be valid in the future")
    function = extrinsic.call[1]
    if function in HOTKEY_CALLS and state.find(extrinsic.signer) is None:
        raise Rejected("Custom error: 19")
    if state.accounts.get(fee_payer(state, extrinsic.signer, function), 0) < fee_of(function):
        raise Rejected("Invalid Transaction: Inability to pay some fees")
