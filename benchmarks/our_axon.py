"""The project's axon with a predictor that returns at once, in a process of its own.

`our_axon.py PORT [starlette]`; prints `ready` when it listens and ends when its input closes.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import uvloop
from bittensor.sp_core import Keypair
from loguru import logger
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route

from streetvision.axon.app import AxonApp
from streetvision.axon.config import AxonConfig
from streetvision.axon.metrics import AxonMetrics
from streetvision.axon.server import AxonServer
from streetvision.axon.wire import PATH
from streetvision.chain.metagraph import MetagraphSnapshot, Neuron
from streetvision.engine.types import Prediction, Timings

ANSWER = Prediction(0.75, 1.1, np.zeros(4, np.float32), "none", 1, 1, 224, 224, Timings(0.0, 0.0, 0.0))


class AtOnce:
    """The predictor."""

    async def predict(self, jpeg: bytes, *, deadline: float, priority: float) -> Prediction:
        """Answer at once."""
        return ANSWER


def snapshot() -> MetagraphSnapshot:
    alice = Keypair.create_from_uri("//Alice").ss58_address
    row = Neuron(0, alice, alice, True, 1000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, None)
    return MetagraphSnapshot(72, 1, 0.0, 360, alice, 256, (row,))


def behind_a_router(app: AxonApp) -> Starlette:
    """The same application as Starlette's one route, to show what routing costs."""
    return Starlette(routes=[Route(PATH, app, methods=["POST"])])


async def main(port: int, router: bool) -> None:
    """Serve until standard input closes; no quota, as one key sends all the load."""
    logger.remove()
    config = AxonConfig(
        hotkey=Keypair.create_from_uri("//Miner").ss58_address,
        port=port,
        hosts=("127.0.0.1",),
        quota_per_minute=0.0,
        nonces_per_hotkey=1_000_000,
        nonces_total=1_000_000,
    )
    taken = snapshot()
    server = AxonServer(config, AtOnce(), lambda: taken, metrics=AxonMetrics(CollectorRegistry()))
    if router:
        server._app = behind_a_router(server._app)  # type: ignore[assignment]  # only for this comparison
    await server.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.close()


uvloop.run(main(int(sys.argv[1]), router="starlette" in sys.argv))
