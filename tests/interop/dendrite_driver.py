"""Run by an interop environment's own python: queries an axon with the real dendrite and prints what came back as JSON.

Reads one JSON object from stdin: port, receiver (ss58), and queries, a list of {signer, image_kb, copies, ip, hashed,
timeout}.
Contacts nothing but the axon: the external address that the dendrite would ask strangers for is given.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
import os
import sys
from importlib import import_module
from typing import Any, ClassVar

os.environ["BT_NO_PARSE_CLI_ARGS"] = "1"
# bittensor logs to standard output from a thread of its own: what we print goes to a copy that it does not know.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

bittensor: Any = import_module("bittensor")
networking: Any = import_module("bittensor.utils.networking")
keypairs: Any = import_module("bittensor_wallet").Keypair

networking.get_external_ip = lambda: "192.0.2.1"


class ImageSynapse(bittensor.Synapse):  # type: ignore[misc]  # known at run time only
    """The subnet's synapse as its validators declare it."""

    image: str = ""
    prediction: float = -1.0
    testnet_label: int = -1


Plain = ImageSynapse


class Hashed(ImageSynapse):
    """The same, with the image authenticated."""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("image",)


Hashed.__name__ = "ImageSynapse"


async def query(case: dict[str, Any], port: int, receiver: str) -> list[dict[str, Any]]:
    dendrite = bittensor.Dendrite(keypairs.create_from_uri(case["signer"]))
    ip = case.get("ip", "127.0.0.1")
    target = bittensor.AxonInfo(
        version=1, ip=ip, port=port, ip_type=6 if ":" in ip else 4, hotkey=receiver, coldkey=receiver
    )
    image = base64.b64encode(os.urandom(case.get("image_kb", 10) * 1000)).decode()
    synapse = (Hashed if case.get("hashed") else Plain)(image=image)
    replies = await dendrite(
        [target] * case.get("copies", 1), synapse, deserialize=False, timeout=case.get("timeout", 9.0)
    )
    await dendrite.aclose_session()
    return [describe(reply) for reply in replies]


def describe(reply: Any) -> dict[str, Any]:
    return {
        "prediction": reply.prediction,
        "is_success": reply.is_success,
        "status": reply.dendrite.status_code,
        "message": reply.dendrite.status_message,
        "axon_status": reply.axon.status_code,
        "process_time": reply.dendrite.process_time,
        "axon_process_time": reply.axon.process_time,
        "axon_hotkey": reply.axon.hotkey,
        "dendrite_hotkey": reply.dendrite.hotkey,
        "ip_of_2001:db8::1_in_a_metagraph": ip_in_a_metagraph("2001:db8::1"),
    }


def ip_in_a_metagraph(ip: str) -> str:
    """How this version writes an address that a neuron has announced."""
    announced = {"version": 1, "ip": int(ipaddress.ip_address(ip)), "port": 8091, "ip_type": 6}
    info = bittensor.AxonInfo.from_neuron_info({"axon_info": announced, "hotkey": "", "coldkey": ""})
    return str(info.ip)


async def main() -> None:
    plan = json.load(sys.stdin)
    results = [await query(case, plan["port"], plan["receiver"]) for case in plan["queries"]]
    ANSWERS.write(json.dumps({"version": bittensor.__version__, "results": results}))
    ANSWERS.flush()


asyncio.run(main())
