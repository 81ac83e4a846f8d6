"""What metrics cost: microseconds that counting adds to a request, and how long a scrape holds up the loop.

Counting is timed against the same values in prometheus_client's own histograms; the share is of one request of the
axon alone, as benchmarks/axon.py measured it at 32 connections. Processor time, so that a busy machine matters little.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from harness import RESULTS, Row, machine, percentile, report
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Slow

from streetvision.axon.metrics import STAGES, AxonMetrics
from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.chain.metagraph import MetagraphSnapshot, Neuron
from streetvision.control.exposition import Exposition
from streetvision.control.request_metrics import RequestMetrics
from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.types import Prediction, Timings
from streetvision.monitor.traffic_counter import TrafficCounter
from streetvision.status.samples import Samples

CALLS, ROUNDS = 20_000, 7
ENDS = [0.0001, 0.001, 0.02, 0.0202]
VALIDATORS = 64
PREDICTION = Prediction(0.7, 0.85, np.zeros(384, np.float32), "1.2.0", 1, 4, 224, 224, Timings(0.002, 0.003, 0.02))


def record() -> RequestRecord:
    """An answered request."""
    stages = StageTimings(0.0001, 0.001, 0.02, 0.0002)
    hotkey = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
    return RequestRecord(
        Dialect.LEGACY, hotkey, 3, 1.0, True, 200, "ok", b"", PREDICTION, time.time(), 8.0, stages, "127.0.0.1"
    )


def microseconds(call: Callable[[], object]) -> float:
    """Of processor time; the median of some rounds, each over many calls."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        for _ in range(CALLS):
            call()
        rounds.append((time.thread_time() - started) / CALLS * 1e6)
    return percentile(rounds, 0.5)


def snapshot() -> MetagraphSnapshot:
    """A subnet with many validators."""
    neurons = tuple(
        Neuron(uid, f"k{uid}", "c", True, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, None)
        for uid in range(VALIDATORS)
    )
    return MetagraphSnapshot(72, 1, 0.0, 360, "k0", 256, neurons)


def the_old_way() -> Callable[[], None]:
    """The nine values that a request counts in the axon and the engine, by prometheus_client."""
    registry = CollectorRegistry()
    edges = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    series = [Slow(f"h{number}", "H", buckets=edges, registry=registry) for number in range(9)]

    def count() -> None:
        for histogram in series:
            histogram.observe(0.003)

    return count


def counting() -> list[Row]:
    """Each listener of a request."""
    registry = CollectorRegistry()
    axon, requests = AxonMetrics(registry), RequestMetrics(registry)
    requests.on_snapshot(None, snapshot())
    engine = EngineMetrics(registry, waiting=int, running=int, lanes=int)
    one = record()

    def axon_and_engine() -> None:
        axon.observe(0.0, ENDS)
        engine.batch(1, 0.02)
        engine.answer(PREDICTION)

    done: dict[str, Callable[[], object]] = {
        f"{len(STAGES) + 6} values in the axon and the engine": axon_and_engine,
        "nine values by prometheus_client": the_old_way(),
        "request metrics": lambda: requests(one),
        "the monitor's traffic counter": partial(TrafficCounter(time.time()), one),
        "samples for status": partial(Samples(), one),
    }
    whole = json.loads((RESULTS / "axon.json").read_text())["rows"]
    each = 1e6 / next(row["ours"] for row in whole if row["measure"] == "requests/s, 32 connections")
    rows: list[Row] = []
    for what, call in done.items():
        cost = microseconds(call)
        rows.append({"what": what, "us": cost, "percent of an axon request": 100 * cost / each})
    return rows


async def scraping() -> list[Row]:
    """A scrape of a busy miner's registry: in all, and the longest that the loop waited."""
    registry = CollectorRegistry()
    axon, requests = AxonMetrics(registry), RequestMetrics(registry)
    EngineMetrics(registry, waiting=int, running=int, lanes=int)
    requests.on_snapshot(None, snapshot())
    axon.observe(0.0, ENDS)
    for uid in range(VALIDATORS):
        requests(replace(record(), uid=uid))
    for reason in range(40):
        axon.count(Dialect.LEGACY, 400 + reason, f"reason {reason}")
    now = 0.0
    exposition = Exposition(registry, clock=lambda: now)
    totals, waits = [], []

    async def turn() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            after = time.thread_time()
            waits.append(after - before)
            before = after

    for _ in range(50):
        now += 2.0
        turning = asyncio.create_task(turn())
        started = time.thread_time()
        await exposition.render("")
        totals.append(time.thread_time() - started)
        turning.cancel()
    return [
        {"what": "a scrape in all", "us": 1e6 * percentile(totals, 0.5), "percent of an axon request": None},
        {"what": "longest step of it, p99", "us": 1e6 * percentile(waits, 0.99), "percent of an axon request": None},
    ]


if __name__ == "__main__":
    where = machine()
    report("metrics", "What metrics cost", [*counting(), *asyncio.run(scraping())], where)
