"""What watching costs serving: the axon with everything that watches a miner, and without. Ten minutes.

Both are up at once and driven in turns by the same generator, the order swapped from round to round, so that a noisy
moment of the machine meets both. In both somebody hears of each request, as the miner's log does. The watched one has
90 days of history; its rules run every 10 s instead of every 20, it reads snapshots and is scraped more often than in
the field, and two sinks that nobody answers are being tried.

python benchmarks/monitoring_cost.py [--quick]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from axon import Load, drive, serving
from harness import RESULTS, Row, loop_cpu, machine, percentile, report

QUICK = "--quick" in sys.argv
ROUNDS = 2 if QUICK else 20
SECONDS = 1.5 if QUICK else 3.0
DAYS = 5 if QUICK else 90
PER_SECOND = 11_000
"""Requests signed in advance for each second of load; more than are answered."""
GOAL = 0.99
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """One load on one axon."""

    load: Load
    loop_us: float
    """Processor time of the event loop's thread for each request: noise of the machine spares it."""


def run(connections: int, port: int, process: int) -> Run:
    before = loop_cpu(process)
    load = drive(port, connections, SECONDS, int(PER_SECOND * SECONDS))
    return Run(load, (loop_cpu(process) - before) / load.replies * 1e6)


def measure(folder: Path) -> list[Row]:
    runs: dict[tuple[int, str], list[Run]] = {}
    with serving("ours", "heard") as plain, serving("ours", "monitored", folder) as watched:
        servers = {"plain": plain, "watched": watched}
        for port, _ in servers.values():
            drive(port, 4, 1.0, PER_SECOND)
        for number in range(ROUNDS):
            for connections in (1, 32):
                for name in sorted(servers, reverse=bool(number % 2)):
                    runs.setdefault((connections, name), []).append(run(connections, *servers[name]))
    return [row for n in (1, 32) for row in compare(n, runs[n, "watched"], runs[n, "plain"])]


def compare(connections: int, watched: list[Run], plain: list[Run]) -> list[Row]:
    """Medians over the rounds, and the median of what each round's pair differed in."""
    pairs = list(zip(watched, plain, strict=True))
    where = f"{connections} connection{'s' if connections > 1 else ''}"
    ratio = percentile([a.load.per_second / b.load.per_second for a, b in pairs], 0.5)
    slower = percentile([a.load.p99 - b.load.p99 for a, b in pairs], 0.5)
    busier = percentile([a.loop_us / b.loop_us for a, b in pairs], 0.5)
    return [
        _row(f"requests/s, {where}: watched / not", watched, plain, "per_second", ratio, f">= {GOAL}"),
        _row(f"p99 ms, {where}: watched - not", watched, plain, "p99", slower, None),
        {
            "measure": f"event loop's CPU µs per request, {where}: watched / not",
            "watched": percentile([a.loop_us for a in watched], 0.5),
            "not": percentile([b.loop_us for b in plain], 0.5),
            "result": busier,
            "goal": None,
        },
    ]


def _row(measure: str, watched: list[Run], plain: list[Run], figure: str, result: float, goal: str | None) -> Row:
    medians = [percentile([getattr(one.load, figure) for one in runs], 0.5) for runs in (watched, plain)]
    return {"measure": measure, "watched": medians[0], "not": medians[1], "result": result, "goal": goal}


def main() -> int:
    """Measure, print one table, write results/monitoring_cost.json; 1 when the goal is missed; `--quick` tries it."""
    where = machine()
    with tempfile.TemporaryDirectory(prefix="sv-watch-") as name:
        subprocess.run([sys.executable, HERE / "watched.py", name, str(DAYS)], check=True)
        rows = measure(Path(name))
    title = "Everything that watches the miner: its cost to the axon (10 KB images)"
    report("monitoring_cost", title, rows, where, Path(tempfile.gettempdir()) if QUICK else RESULTS)
    return 0 if all(float(row["result"] or 0) >= GOAL for row in rows if row["goal"]) else 1


if __name__ == "__main__":
    sys.exit(main())
