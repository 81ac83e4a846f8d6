"""Signature checks by the SDK's native code; about 35 µs for a good sr25519 signature, 65 µs for a bad one."""

from __future__ import annotations

from collections.abc import Callable

from bittensor import sp_core
from bittensor.http_auth import build_payload

from streetvision.axon.wire import Call, Dialect, legacy_message

Verifier = Callable[[bytes, bytes, str, str], bool]
"""(message, signature, ss58 hotkey, scheme) -> does the signature hold."""

_SCHEMES = {"sr25519": sp_core.CRYPTO_SR25519, "ed25519": sp_core.CRYPTO_ED25519}


def verify(message: bytes, signature: bytes, hotkey: str, scheme: str) -> bool:
    """Whether `hotkey` signed `message`; an undecodable address or signature is simply not a valid one."""
    try:
        return bool(sp_core.verify(message, signature, hotkey, _SCHEMES[scheme]))
    except ValueError:
        return False


def signed_message(call: Call, own_hotkey: str, target: str, body: bytes) -> bytes:
    """The bytes this call's signature covers; `target` is the path with its query, `body` is hashed for btauth only."""
    if call.dialect is Dialect.LEGACY:
        return legacy_message(call, own_hotkey)
    return build_payload(
        scheme=call.scheme,
        method="POST",
        path=target,
        body=body,
        nonce_ns=call.nonce,
        sender_ss58=call.hotkey,
        receiver_ss58=own_hotkey,
    )
