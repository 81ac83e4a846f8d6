"""The caller's side of the legacy dialect, for the demo's validator, the benchmarks and the tests."""

from __future__ import annotations

import base64
import json
from typing import Protocol

from streetvision.axon.wire import EMPTY_HASH
from streetvision.subnet import SUBNET


class Signer(Protocol):
    """A hotkey; `bittensor`'s Keypair is one."""

    @property
    def ss58_address(self) -> str:
        """Address of the public key."""
        ...

    def sign(self, message: bytes, /) -> bytes:
        """Sign raw bytes."""
        ...


def legacy_headers(
    signer: Signer, receiver: str, *, nonce_ns: int, uuid: str, timeout_s: float = SUBNET.timeout_s
) -> dict[str, str]:
    """Headers of one signed request to `receiver` (ss58), as a dendrite of bittensor 9.x or 10.x sends them."""
    sender = signer.ss58_address
    signature = signer.sign(f"{nonce_ns}.{sender}.{receiver}.{uuid}.{EMPTY_HASH}".encode())
    return {
        "name": SUBNET.synapse,
        "timeout": str(timeout_s),
        "bt_header_axon_hotkey": receiver,
        "bt_header_dendrite_nonce": str(nonce_ns),
        "bt_header_dendrite_uuid": uuid,
        "bt_header_dendrite_hotkey": sender,
        "bt_header_dendrite_signature": "0x" + bytes(signature).hex(),
        "computed_body_hash": EMPTY_HASH,
        "content-type": "application/json",
    }


def request_body(image: bytes) -> bytes:
    """The JSON body that carries an encoded image."""
    fields = {SUBNET.image_field: base64.b64encode(image).decode(), SUBNET.answer_field: SUBNET.unanswered}
    return json.dumps(fields).encode()
