"""All that watches a miner, joined as the miner joins it, for a benchmark's axon: monitor, alerts, samples, metrics.

Run as a script with a folder, it writes 90 days of a simulated miner's history there.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from simulation.subnet import OWN
from simulation.world import World

from streetvision.alerts.alerting import Alerting
from streetvision.alerts.schedule import AlertPolicy
from streetvision.alerts.sinks.choosing import Webhook
from streetvision.alerts.sinks.ping import Ping
from streetvision.axon.record_listeners import RecordListeners
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.control.request_metrics import RequestMetrics
from streetvision.monitor.history import History
from streetvision.monitor.monitor import Monitor, Sources
from streetvision.monitor.observation import Probe
from streetvision.monitor.sampler import RequestSampler
from streetvision.monitor.traffic_counter import TrafficCounter
from streetvision.settings.secret import Secret
from streetvision.status.samples import Samples

DAYS = 90
PASS_S = 10.0
"""Twice as often as the miner."""
SNAPSHOT_S = 12.0
"""Five times as often as the miner reads the metagraph."""
SCRAPE_S = 5.0
"""Three times as often as Prometheus asks."""
NOWHERE = Secret("http://127.0.0.1:9/")


class Watched:
    """Start it, give it every record, close it. Rules run twice as often as in the miner."""

    def __init__(self, folder: Path, registry: CollectorRegistry, taken: MetagraphSnapshot) -> None:
        self._taken, self._registry = taken, registry
        samples, counter, self._requests = Samples(), TrafficCounter(time.time()), RequestMetrics(registry)
        self._monitor = Monitor(
            folder, OWN, 72, Sources(lambda: 5.0), counter, sleep=lambda _: asyncio.sleep(PASS_S), probe=_reached
        )
        self._alerts = Alerting(
            folder,
            OWN,
            72,
            "bench",
            sinks=(Webhook(NOWHERE),),
            ping=Ping(NOWHERE),
            ping_every_s=300.0,
            policy=AlertPolicy(),
            registry=registry,
        )
        self._monitor.add_listener(self._alerts.on_pass)
        watching = (counter, self._requests, samples)
        self.listeners = RecordListeners((), registry, sampled=watching, admits=RequestSampler(registry).admits)
        """As the miner does."""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Everything runs when this returns, the history read."""
        self._requests.on_snapshot(None, self._taken)
        await self._monitor.look()
        works = (self._monitor.run(), self._alerts.run(), self._snapshots(), self._scrapes())
        self._tasks = [asyncio.create_task(work) for work in works]

    async def close(self) -> None:
        """End it all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._monitor.close()
        await self._alerts.close()

    async def _snapshots(self) -> None:
        block = self._monitor.history.points[-1].block if self._monitor.history.points else 1
        while True:
            await asyncio.sleep(SNAPSHOT_S)
            block += 1
            self._monitor.on_snapshot(None, replace(self._taken, block=block, taken_at=time.time()))

    async def _scrapes(self) -> None:
        while True:
            await asyncio.sleep(SCRAPE_S)
            await asyncio.to_thread(generate_latest, self._registry)


async def _reached(endpoint: str) -> Probe:
    return Probe(endpoint, True, "the axon greets", time.time())


def write_history(folder: Path, days: float) -> None:
    """A simulated healthy miner's history, as if it ended now."""
    world = World(1).run(days)
    shift = time.time() - world.now
    history = History(folder, OWN, 72)
    history.flush()  # reads what is there: nothing
    history.points = tuple(replace(point, time=point.time + shift) for point in world.history.points)
    history.buckets = tuple(replace(b, start=b.start + shift, last=b.last + shift) for b in world.history.buckets)
    history._waiting = (list(history.points), list(history.buckets))
    history.close()


if __name__ == "__main__":
    write_history(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else DAYS)
