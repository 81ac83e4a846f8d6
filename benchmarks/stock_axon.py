"""The rival: the stock axon of bittensor 10.5.0 with its own verification and a forward that returns at once.

Run by .envs/bittensor-10.5.0's python with a port; prints `ready` when it listens and ends when its input closes.
No postponed annotations here: the stock axon reads them at run time.
"""

import os
import socket
import sys
import time
from importlib import import_module
from typing import Any

os.environ["BT_NO_PARSE_CLI_ARGS"] = "1"
bittensor: Any = import_module("bittensor")
keypairs: Any = import_module("bittensor_wallet").Keypair


class ImageSynapse(bittensor.Synapse):  # type: ignore[misc]  # known at run time only
    """The subnet's synapse."""

    image: str = ""
    prediction: float = -1.0
    testnet_label: int = -1


class Wallet:
    """As much of a wallet as an axon looks at: the development key //Miner."""

    hotkey = keypairs.create_from_uri("//Miner")
    coldkeypub = hotkey


async def forward(synapse: ImageSynapse) -> ImageSynapse:
    """Answer at once."""
    synapse.prediction = 0.75
    return synapse


def main() -> None:
    """Serve until standard input closes."""
    port = int(sys.argv[1])
    axon = bittensor.Axon(wallet=Wallet(), port=port, ip="127.0.0.1", external_ip="127.0.0.1")
    axon.attach(forward_fn=forward)
    axon.start()
    while socket.socket().connect_ex(("127.0.0.1", port)):
        time.sleep(0.05)
    print("ready", flush=True)
    sys.stdin.read()
    axon.stop()
    os._exit(0)


main()
