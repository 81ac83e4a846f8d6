"""The project's axon with a predictor that returns at once, in a process of its own.

`our_axon.py PORT [starlette | heard | logged FOLDER | monitored FOLDER]`; prints `ready` when it listens and ends when
its input closes. `heard`: somebody listens to its records, as in the miner; `logged`: the prediction log in FOLDER
listens as well; `monitored`: all that watches the miner does, and passes of the rules, alerts and files go on.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

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
from streetvision.axon.record_listeners import RecordListener, RecordListeners
from streetvision.axon.server import AxonServer
from streetvision.axon.wire import PATH
from streetvision.chain.metagraph import MetagraphSnapshot, Neuron
from streetvision.engine.types import Prediction, Timings
from streetvision.prediction_log.store import PredictionLog

if TYPE_CHECKING:
    from watched import Watched

ANSWER = Prediction(0.75, 1.1, np.zeros(384, np.float32), "none", 1, 1, 224, 224, Timings(0.0, 0.0, 0.0))


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


def listeners(how: str, folder: str, registry: CollectorRegistry) -> tuple[RecordListener | None, PredictionLog | None]:
    """What hears of each request: nobody, a listener that does nothing with it, or that and the prediction log."""
    if how == "heard":
        return lambda record: None, None
    if how != "logged":
        return None, None
    log = PredictionLog(Path(folder), registry)
    log.start()
    return log, log


async def monitored(folder: Path, registry: CollectorRegistry, taken: MetagraphSnapshot) -> Watched:
    """Everything that watches a miner, running."""
    from watched import Watched

    watch = Watched(folder, registry, taken)
    await watch.start()
    return watch


async def main(port: int, how: str, folder: str) -> None:
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
    registry = CollectorRegistry()
    hook, log = listeners(how, folder, registry)
    watch = await monitored(Path(folder), registry, taken) if how == "monitored" else None
    heard = None if hook is None else RecordListeners((hook,), registry)
    heard = watch.listeners if watch is not None else heard
    server = AxonServer(config, AtOnce(), lambda: taken, metrics=AxonMetrics(registry), listeners=heard)
    if how == "starlette":
        server._app = behind_a_router(server._app)  # type: ignore[assignment]  # only for this comparison
    await server.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.close()
    if watch is not None:
        await watch.close()
    if log is not None:
        log.close(20.0)


uvloop.run(main(int(sys.argv[1]), *(*sys.argv[2:], "", "")[:2]))
