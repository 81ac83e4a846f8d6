"""What the prediction log costs the axon, how fast it takes rows, and how fast it answers for them. Five minutes.

Two axons, one with the log and one whose records nobody keeps, are driven in turns by the same generator. Long floods
are timed once the log has begun to give way (store.PATIENCE_S), short ones from their first request, all of it logged.
Every run ends with a count: rows written and rows counted as dropped must be the requests that were answered.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from axon import Load, drive, serving
from harness import RESULTS, Row, loop_cpu, machine, percentile, report
from prometheus_client import CollectorRegistry

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.engine.types import Prediction, Timings
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter
from streetvision.prediction_log.upkeep import Limits
from streetvision.prediction_log.write_health import LogMetrics
from streetvision.prediction_log.write_queue import WriteQueue
from streetvision.prediction_log.writer import Writer

QUICK = "--quick" in sys.argv
ROUNDS = 2 if QUICK else 12
PER_SECOND = 11_000
"""Requests signed in advance for each second of load; more than are answered."""
ROWS = 100_000
STATS_RUNS = 5


@dataclass(frozen=True)
class Flood:
    """One way to drive an axon."""

    name: str
    connections: int
    warm_s: float
    seconds: float


@dataclass(frozen=True)
class Run:
    """One flood of one axon."""

    load: Load
    loop_us: float
    """Processor time of the event loop's thread for each request, the warm-up's too: noise of the machine spares it."""


FLOODS = (
    Flood("sustained, 32 connections", 32, 3.0, 3.0),
    Flood("sustained, 1 connection", 1, 3.0, 3.0),
    Flood("first 1.5 s, 32 connections", 32, 0.0, 1.5),
    Flood("first 1.5 s, 1 connection", 1, 0.0, 1.5),
)


@contextlib.contextmanager
def disk() -> Iterator[Path]:
    """A folder on a disk: a log in memory would flatter."""
    base = Path(os.environ.get("BENCH_DISK", "/var/tmp"))
    folder = Path(tempfile.mkdtemp(prefix="sv-log-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def side_by_side(folder: Path) -> list[Row]:
    """Both axons up at once, in turns, the order swapped from round to round."""
    runs: dict[tuple[Flood, str], list[Run]] = {}
    with serving("ours", "heard") as plain, serving("ours", "logged", folder) as logged:
        servers = {"plain": plain, "logged": logged}
        replies = [drive(port, 4, 1.0, PER_SECOND).replies for port, _ in servers.values()][-1]
        for number in range(ROUNDS):
            for flood in FLOODS:
                for name in sorted(servers, reverse=bool(number % 2)):
                    runs.setdefault((flood, name), []).append(run(flood, *servers[name]))
    replies += sum(one.load.replies for (_, name), found in runs.items() for one in found if name == "logged")
    kept = check_count(folder, replies)
    return [row for flood in FLOODS for row in compare(flood, runs[flood, "logged"], runs[flood, "plain"])] + [kept]


def run(flood: Flood, port: int, process: int) -> Run:
    requests = int(PER_SECOND * (flood.warm_s + flood.seconds))
    before = loop_cpu(process)
    load = drive(port, flood.connections, flood.seconds, requests, warm=flood.warm_s)
    return Run(load, (loop_cpu(process) - before) / load.replies * 1e6)


def compare(flood: Flood, logged: list[Run], plain: list[Run]) -> list[Row]:
    """Medians over the rounds of what each round's pair differed in."""
    pairs = list(zip(logged, plain, strict=True))
    sustained = flood.warm_s > 0
    ratio = percentile([a.load.per_second / b.load.per_second for a, b in pairs], 0.5)
    slower = percentile([a.load.p99 - b.load.p99 for a, b in pairs], 0.5)
    return [
        {
            "measure": f"requests/s, {flood.name}: logged / not",
            "logged": percentile([a.load.per_second for a in logged], 0.5),
            "not": percentile([b.load.per_second for b in plain], 0.5),
            "result": ratio,
            "goal": ">= 0.99" if sustained else None,
        },
        {
            "measure": f"p99 ms, {flood.name}: logged - not",
            "logged": percentile([a.load.p99 for a in logged], 0.5),
            "not": percentile([b.load.p99 for b in plain], 0.5),
            "result": slower,
            "goal": "<= 0.2" if sustained else None,
        },
        {
            "measure": f"event loop's CPU µs per request, {flood.name}: logged / not",
            "logged": percentile([a.loop_us for a in logged], 0.5),
            "not": percentile([b.loop_us for b in plain], 0.5),
            "result": percentile([a.loop_us / b.loop_us for a, b in pairs], 0.5),
            "goal": None,
        },
    ]


def check_count(folder: Path, replies: int) -> Row:
    """No figures unless every answered request is a row or counted as dropped."""
    with LogReader(folder) as reader:
        stats = reader.stats()
    dropped = sum(stats.dropped_rows.values())
    if stats.rows + dropped != replies:
        raise SystemExit(f"{stats.rows} rows and {dropped} dropped are not {replies} requests: no figures.")
    measure = "requests of all these floods: rows written, counted as dropped, share written"
    return {"measure": measure, "logged": stats.rows, "not": dropped, "result": stats.rows / replies, "goal": None}


def record(number: int, image: bytes) -> RequestRecord:
    """A request of one of 16 validators, answered by one of two models with a 384-wide embedding."""
    rng = np.random.default_rng(number)
    times = (rng.random(7) / 100).tolist()
    answer = Prediction(
        float(rng.random()),
        0.0,
        rng.standard_normal(384, np.float32),
        f"1.{number * 2 // ROWS}.0",
        4,
        1 + number % 8,
        224,
        224,
        Timings(*times[:3]),
    )
    hotkey = f"5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKut{number % 16:02d}"
    stages = StageTimings(*times[3:])
    return RequestRecord(
        Dialect.LEGACY, hotkey, number % 16, 1.0, True, 200, "ok", image, answer, time.time(), 5.0, stages, ""
    )


def inserted(folder: Path, count: int, image_of: Callable[[int], bytes]) -> float:
    """Rows per second that the writer takes from its queue to committed rows and files."""
    write_queue = WriteQueue(count, 2**40)
    writer = Writer(folder, write_queue, LogMetrics(CollectorRegistry()), Limits())
    writer.tick()
    seconds = 0.0
    for start in range(0, count, 10_000):
        for number in range(start, min(count, start + 10_000)):
            write_queue.append(record(number, image_of(number)))
        began = time.perf_counter()
        while writer.waiting:
            writer.tick()
        seconds += time.perf_counter() - began
    writer.close()
    with LogReader(folder) as reader:
        if reader.count(LogFilter(stored=True)) != count:
            raise SystemExit("Rows or images are missing: no figures.")
    return count / seconds


def figures(folder: Path) -> list[Row]:
    pool = [os.urandom(10_000) for _ in range(500)]
    rows = ROWS // 10 if QUICK else ROWS
    seen = inserted(folder / "seen", rows, lambda number: pool[number % len(pool)])
    fresh = inserted(folder / "fresh", rows // 5, lambda number: os.urandom(10_000))
    with LogReader(folder / "seen") as reader:
        waits = []
        for _ in range(STATS_RUNS):
            began = time.perf_counter()
            answered = reader.stats().answered
            waits.append(time.perf_counter() - began)
    if answered != rows:
        raise SystemExit(f"The statistics speak of {answered} answers: no figures.")
    return [
        {"measure": f"{rows:,} rows inserted per second, images seen before", "result": seen, "goal": ">= 5,000"},
        {
            "measure": f"{rows // 5:,} rows inserted per second, each with a new 10 KB image",
            "result": fresh,
            "goal": None,
        },
        {"measure": f"s for all statistics of {rows:,} rows, slowest of 5", "result": max(waits), "goal": "< 0.5"},
    ]


def main() -> None:
    """Measure everything, print one table, write results/prediction_log.json; `--quick` only tries it out."""
    where = machine()
    with disk() as folder:
        rows = [*side_by_side(folder / "flood"), *({"logged": None, "not": None} | row for row in figures(folder))]
    results = Path(tempfile.gettempdir()) if QUICK else RESULTS
    columns = ("measure", "logged", "not", "result", "goal")
    ordered: list[Row] = [{column: row[column] for column in columns} for row in rows]
    report(
        "prediction_log",
        "Prediction log: its cost to the axon (10 KB images), and its own speed",
        ordered,
        where,
        results,
    )


if __name__ == "__main__":
    main()
