"""The project's axon against the stock axon of bittensor 10.5.0: speed, a flood of junk, memory. One to two minutes.

Both verify signatures of the same key, answer at once and get the same 10 KB images from one load generator; servers
and load run in processes of their own, the stock axon in .envs/bittensor-10.5.0 (scripts/make_interop_env.py makes it).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import Row, machine, percentile, report, resident_mib

HERE = Path(__file__).parent
STOCK_PYTHON = HERE.parent / ".envs" / "bittensor-10.5.0" / "bin" / "python"
SERVERS: dict[str, list[str | Path]] = {
    "ours": [sys.executable, HERE / "our_axon.py"],
    "router": [sys.executable, HERE / "our_axon.py"],
    "stock": [STOCK_PYTHON, HERE / "stock_axon.py"],
}
REQUESTS = {"ours": 15_000, "router": 15_000, "stock": 1_500}
"""Signed in advance for each run; more than it can send."""
ROUNDS = 3


@dataclass(frozen=True)
class Load:
    """What one run of the load generator measured."""

    latencies_ms: list[float]
    failures: int
    per_second: float
    replies: int
    """All of them, those of the warm-up too."""

    @property
    def p50(self) -> float:
        """Median latency in ms."""
        return percentile(self.latencies_ms, 0.5)

    @property
    def p99(self) -> float:
        """Latency in ms that one request in a hundred exceeds."""
        return percentile(self.latencies_ms, 0.99)


@contextlib.contextmanager
def serving(name: str, *arguments: str | Path) -> Iterator[tuple[int, int]]:
    """The port and process id of a server; ended by closing its input."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*SERVERS[name], str(port), *arguments, *(["starlette"] if name == "router" else [])]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdin and server.stdout
    try:
        if server.stdout.readline().strip() != b"ready":
            raise SystemExit(f"The {name} axon did not start: run {' '.join(map(str, command))} to see why.")
        yield port, server.pid
    finally:
        server.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(30)
        server.kill()


def start_load(
    port: int, connections: int, seconds: float, requests: int, *, junk: bool = False, warm: float = 0.0
) -> subprocess.Popen[bytes]:
    plan = {
        "port": port,
        "connections": connections,
        "seconds": seconds,
        "requests": requests,
        "junk": junk,
        "warm": warm,
    }
    load = subprocess.Popen([sys.executable, HERE / "load.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert load.stdin
    load.stdin.write(json.dumps(plan).encode())
    load.stdin.close()
    load.stdin = None
    return load


def finish_load(load: subprocess.Popen[bytes]) -> Load:
    out, _ = load.communicate(timeout=120)
    measured = json.loads(out)
    latencies = [latency * 1e3 for latency in measured["latencies"]]
    return Load(latencies, measured["failures"], len(latencies) / measured["seconds"], measured["replies"])


def drive(port: int, connections: int, seconds: float, requests: int, *, warm: float = 0.0) -> Load:
    """One run; refuses to report a speed while replies are wrong."""
    load = finish_load(start_load(port, connections, seconds, requests, warm=warm))
    if load.failures or not load.latencies_ms:
        raise SystemExit(f"{load.failures} of {len(load.latencies_ms)} replies were wrong: no figures.")
    return load


def flood(port: int, seconds: float, requests: int) -> tuple[Load, Load, int]:
    """A validator before and during 32 connections of junk, and how many junk requests were answered."""
    before = drive(port, 1, seconds, requests)
    storm = start_load(port, 32, 2 * seconds + 2, 0, junk=True)
    time.sleep(2.0)
    during = drive(port, 1, seconds, requests)
    return before, during, len(finish_load(storm).latencies_ms)


def speed() -> list[Row]:
    """All servers up at once, asked in turns, so that a noisy moment of the machine meets each of them."""
    runs: dict[tuple[str, int], list[Load]] = {}
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(serving(name))[0] for name in SERVERS}
        for name, port in ports.items():
            drive(port, 4, 1.0, REQUESTS[name] // 10)
        for _, connections, name in itertools.product(range(ROUNDS), (1, 32), ports):
            runs.setdefault((name, connections), []).append(drive(ports[name], connections, 1.5, REQUESTS[name]))
    return [*speed_rows(runs), *router_rows(runs)]


def median(loads: list[Load], figure: str) -> float:
    """The median over the rounds of one figure of a load."""
    return percentile([getattr(load, figure) for load in loads], 0.5)


def speed_rows(runs: dict[tuple[str, int], list[Load]]) -> list[Row]:
    """Ours against stock."""
    figures = [
        ("requests/s, 1 connection", 1, "per_second", ">= 20"),
        ("requests/s, 32 connections", 32, "per_second", ">= 20"),
        ("p50 ms, 1 connection", 1, "p50", "<= 0.1"),
        ("p99 ms, 1 connection", 1, "p99", None),
    ]
    rows: list[Row] = []
    for measure, connections, figure, goal in figures:
        ours, stock = (median(runs[name, connections], figure) for name in ("ours", "stock"))
        rows.append({"measure": measure, "ours": ours, "stock": stock, "ratio": ours / stock, "goal": goal})
    return rows


def router_rows(runs: dict[tuple[str, int], list[Load]]) -> list[Row]:
    """Ours against itself behind Starlette's router."""
    rows: list[Row] = []
    for connections in (1, 32):
        plain, routed = (median(runs[name, connections], "per_second") for name in ("ours", "router"))
        measure = f"requests/s, {connections}: plain ASGI / behind Starlette's router"
        rows.append({"measure": measure, "ours": plain, "stock": routed, "ratio": plain / routed, "goal": None})
    return rows


def junk() -> list[Row]:
    rows: list[Row] = []
    for name, requests in (("ours", 8_000), ("stock", 400)):
        with serving(name) as (port, _):
            before, during, answered = flood(port, 3.0, requests)
        rows.append(
            {
                "measure": f"{name}: validator's p50 ms, under junk / before ({answered} junk answered)",
                "ours": during.p50,
                "stock": before.p50,
                "ratio": during.p50 / before.p50,
                "goal": "<= 3" if name == "ours" else None,
            }
        )
    return rows


def memory() -> list[Row]:
    with serving("ours") as (port, process):
        drive(port, 4, 60.0, 2_000)
        early = resident_mib(process)
        drive(port, 4, 60.0, 18_000)
        late = resident_mib(process)
    measure = "ours: resident MiB, after 20,000 / 2,000 requests"
    return [{"measure": measure, "ours": late, "stock": early, "ratio": late / early, "goal": "<= 1.05"}]


def main() -> None:
    """Measure everything, print one table, write results/axon.json."""
    if not STOCK_PYTHON.exists():
        raise SystemExit("The stock axon is not installed: run python scripts/make_interop_env.py 10.5.0")
    where = machine()
    rows = [*speed(), *junk(), *memory()]
    report("axon", "Axon, 10 KB images, a predictor that answers at once", rows, where)


if __name__ == "__main__":
    main()
