"""Our replicas on a real Ray: what the way there adds, a burst against plain Ray Serve, and a replica that is killed.

The rival is `@serve.batch` with the batch size, wait and bound of its queue that do best here. Both sides have the same
model, which sleeps as long as a small one computes, the same requests, and are asked from the same process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, product
from typing import Any

import numpy as np
from engine import InstantRunner
from harness import Row, machine, percentile, report
from prometheus_client import CollectorRegistry
from remote import PIN

from streetvision.cluster.app import Replica
from streetvision.cluster.local import prepare_environment
from streetvision.cluster.options import APP, DeployOptions
from streetvision.cluster.transport import RayTransport
from streetvision.engine.answers import Answer
from streetvision.engine.decode import DecodedImage
from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.remote import RemoteEnd
from streetvision.engine.remote_dispatch import RemoteDispatcher
from streetvision.engine.remote_policy import BreakerState, RemotePolicy
from streetvision.engine.transport import RemoteBatch, RemoteFailure
from streetvision.engine.types import EngineClosed, ImageArray, Overloaded, RunnerOutput

SIDE = 224
PER_BATCH, PER_PICTURE, LARGEST = 0.06, 0.008, 16
"""Seconds of the model, and its largest batch: 85 pictures a second at best, little enough for two cores to ask for."""
CAPACITY = LARGEST / (PER_BATCH + LARGEST * PER_PICTURE)
DEADLINES = (0.6, 2.5)
"""Seconds that a caller has, drawn evenly: challenges arrive with what the network has left of nine."""
MINERS = 4
Handle = Any
"""Serve's, which has no types of its own here."""
Ask = Callable[[float], Awaitable[bool]]
"""Send one picture with so many seconds left; whether it was answered."""


class PacedRunner(InstantRunner):
    """A model that takes as long as it says."""

    buckets = (1, 2, 4, 8, LARGEST)

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        """As long as `run` takes."""
        return {size: PER_BATCH + PER_PICTURE * size for size in buckets}

    def run(self, images: ImageArray) -> RunnerOutput:
        """Zeros, later. Padded to its bucket, as a real one is."""
        size = next(size for size in self.buckets if size >= len(images))
        time.sleep(PER_BATCH + PER_PICTURE * size)
        return super().run(images)


class PacedReplica(Replica):
    """Ours, over that model or over one that takes no time."""

    def __init__(self, args: Mapping[str, Any], paced: bool) -> None:
        runner = PacedRunner() if paced else InstantRunner()
        super().__init__(args, lambda _: (runner, PIN))


@dataclass(frozen=True)
class Tuning:
    """Of the rival."""

    size: int
    wait: float
    queue: int
    """Requests at once; more are refused, so that a burst does not make all later ones late."""


def ours(paced: bool, name: str) -> Handle:
    from ray import serve
    from ray.serve.config import RequestRouterConfig

    options = DeployOptions(state="/nowhere", cpus=0.1)
    given = options.deployment() | {"max_ongoing_requests": 4096, "user_config": {"versions": [PIN.version]}}
    given["request_router_config"] = RequestRouterConfig(**given["request_router_config"])
    app = serve.deployment(name="Ours", **given)(PacedReplica).bind(options.to_args(), paced)
    return serve.run(app, name=name, route_prefix=None).options(method_name="predict", multiplexed_model_id=PIN.version)


def rival(tuning: Tuning) -> Handle:
    from ray import serve

    @serve.deployment(
        name="Rival",
        max_ongoing_requests=tuning.queue,
        max_queued_requests=1,
        ray_actor_options={"num_cpus": 0.1},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    class Rival:
        def __init__(self) -> None:
            self._runner, self._lock = PacedRunner(), asyncio.Lock()

        @serve.batch(max_batch_size=tuning.size, batch_wait_timeout_s=tuning.wait)
        async def batched(self, blocks: list[bytes]) -> list[float]:
            images = np.stack([np.frombuffer(block, np.uint8).reshape(SIDE, SIDE, 3) for block in blocks])
            async with self._lock:  # one device computes one batch at a time
                output = await asyncio.to_thread(self._runner.run, images)
            return [float(logit) for logit in output.logits]

        async def __call__(self, block: bytes) -> float:
            answer: float = await self.batched(block)
            return answer

    return serve.run(Rival.bind(), name="rival", route_prefix=None)  # type: ignore[attr-defined]  # the decorator's


def picture(seconds: float) -> RemoteBatch:
    return RemoteBatch(PIN, np.zeros((1, SIDE, SIDE, 3), np.uint8), (seconds,), (0.0,), ("",))


async def no_model(image: DecodedImage, deadline: float, priority: float) -> Answer:
    """In the embedded model's place: only what the backend answers counts here."""
    raise Overloaded("there is no embedded model")


def dispatcher(transport: RayTransport) -> RemoteDispatcher:
    """What a miner has before its embedded model."""
    return RemoteDispatcher(
        RemoteEnd(PIN, transport, RemotePolicy(largest=LARGEST)),
        no_model,
        lambda now, coming: 0.0,
        side=SIDE,
        capacity=256,
        metrics=EngineMetrics(CollectorRegistry(), waiting=int, running=int, lanes=int),
        clock=time.monotonic,
    )


async def our_burst(address: str, seconds: float) -> tuple[int, int]:
    """As miners ask: several of them, each with its own dispatcher, through a bridge."""
    transport = RayTransport({"address": address})
    miners = [dispatcher(transport) for _ in range(MINERS)]
    turns = cycle(miners)
    picture = DecodedImage(np.zeros((SIDE, SIDE, 3), np.uint8), SIDE, SIDE, "JPEG")

    async def ask(left: float) -> bool:
        try:
            await next(turns).infer(picture, time.monotonic() + left, 0.0)
        except Overloaded:
            return False
        return True

    try:
        for miner in miners:
            miner.start()
        while any(miner.view().state is not BreakerState.CLOSED for miner in miners):
            await asyncio.sleep(0.05)
        return await burst(ask, seconds, 4.0)
    finally:
        for miner in miners:
            miner.close(EngineClosed("over"))
        await transport.close()


def ask_rival(handle: Handle) -> Ask:
    from ray.serve.exceptions import BackPressureError

    block = bytes(3 * SIDE * SIDE)

    async def ask(_: float) -> bool:
        try:
            await handle.remote(block)
        except BackPressureError:
            return False
        return True

    return ask


async def burst(ask: Ask, seconds: float, times: float) -> tuple[int, int]:
    """Requests at `times` the capacity for so long: how many were sent, how many answered within their deadlines."""
    rng, rate = random.Random(72), times * CAPACITY
    for _ in range(3):
        await ask(5.0)

    async def one(left: float) -> bool:
        began = time.monotonic()
        answered = await ask(left)
        return answered and time.monotonic() - began <= left

    began, tasks = time.monotonic(), []
    for place in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + place / rate - time.monotonic()))
        tasks.append(asyncio.create_task(one(rng.uniform(*DEADLINES))))
    results = await asyncio.gather(*tasks)
    return len(results), sum(results)


async def added(transport: RayTransport, runs: int) -> list[float]:
    """Milliseconds through the bridge, less the forward pass there."""
    taken = []
    for run in range(runs + 50):
        began = time.perf_counter()
        answer = await transport.send(picture(5.0))
        if run >= 50:
            taken.append(1e3 * (time.perf_counter() - began - answer.inference))
    return taken


async def killed(transport: RayTransport) -> float:
    """Seconds without an answer after the only replica was killed."""
    replica = (await transport.send(picture(5.0))).replica
    os.kill(int(replica.rpartition(":")[2]), signal.SIGKILL)
    began = time.monotonic()
    while True:
        try:
            async with asyncio.timeout(2.0):
                await transport.send(picture(5.0))
        except (RemoteFailure, TimeoutError):
            await asyncio.sleep(0.05)
        else:
            return time.monotonic() - began


def _row(who: str, sent: int, answered: int, seconds: float) -> Row:
    row: Row = {"who": who, "sent": sent, "in time": answered, "share of capacity": answered / CAPACITY / seconds}
    print(row, flush=True)
    return row


def bursts(address: str, seconds: float) -> list[Row]:
    from ray import serve

    tunings = [Tuning(LARGEST, 0.05, 4096)]  # without a bound that sheds load
    tunings += [
        Tuning(size, wait, int(queue * CAPACITY)) for size, wait, queue in product((LARGEST,), (0.05, 0.1), (0.6, 1.2))
    ]
    ours(True, APP)
    rows = [_row("ours", *asyncio.run(our_burst(address, seconds)), seconds)]
    serve.delete(APP)
    for tuning in tunings:
        ask = ask_rival(rival(tuning))
        rows.append(_row(f"@serve.batch {tuning}", *asyncio.run(burst(ask, seconds, 4.0)), seconds))
        serve.delete("rival")
    first, *others = (float(row["in time"] or 0) for row in rows)
    times = first / max(others)
    return [*rows, {"who": "times the best rival", "sent": None, "in time": times, "share of capacity": None}]


async def through_the_bridge(address: str, runs: int) -> list[Row]:
    transport = RayTransport({"address": address})
    try:
        taken = await added(transport, runs)
        down = await killed(transport)
    finally:
        await transport.close()
    return [
        {"what": "added by Ray and the bridge, p50 ms", "value": percentile(taken, 0.5)},
        {"what": "added by Ray and the bridge, p99 ms", "value": percentile(taken, 0.99)},
        {"what": "a killed replica answers again after, s", "value": down},
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a burst")
    args = parser.parse_args()
    prepare_environment()
    os.environ.setdefault("RAY_AUTH_TOKEN", os.urandom(16).hex())
    os.environ["RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP"] = "1"  # several event loops in one process, unlike the bridge
    import ray
    from ray import serve

    where = machine()
    context = ray.init(
        address="local", num_cpus=2, object_store_memory=100 * 2**20, include_dashboard=False, log_to_driver=False
    )
    try:
        serve.start(proxy_location="Disabled")
        ours(False, APP)
        address = context.address_info["gcs_address"]  # type: ignore[attr-defined]
        rows = asyncio.run(through_the_bridge(address, args.runs))
        report("ray_serve", "The way to our replicas on Ray", rows, where)
        serve.delete(APP)
        report("ray_serve-burst", "A burst of four times the capacity", bursts(address, args.seconds), where)
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


if __name__ == "__main__":
    main()
