"""Headers of a request signed as btauth/1 has it, by the SDK itself."""

from __future__ import annotations

from typing import Any

from bittensor import http_auth


def btauth(kit: Any, content: bytes, signer: Any = None, **changes: Any) -> dict[str, str]:
    arguments = {"method": "POST", "path": "/ImageSynapse", "body": content, "receiver_ss58": kit.MINER.ss58_address}
    return http_auth.sign(signer or kit.ALICE, **(arguments | changes))
