"""The project's axon against the stock axon of bittensor 10.5.0: speed, a flood of junk, and memory. About a minute.

Both verify signatures of the same key, answer at once and get the same 10 KB images from one load generator; servers
and load run in processes of their own, the stock axon in .envs/bittensor-10.5.0 (scripts/make_interop_env.py makes it).
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import Row, machine, percentile, report

HERE = Path(__file__).parent
STOCK_PYTHON = HERE.parent / ".envs" / "bittensor-10.5.0" / "bin" / "python"
SERVERS: dict[str, list[str | Path]] = {
    "ours": [sys.executable, HERE / "our_axon.py"],
    "router": [sys.executable, HERE / "our_axon.py"],
    "stock": [STOCK_PYTHON, HERE / "stock_axon.py"],
}


@dataclass(frozen=True)
class Load:
    """What one run of the load generator measured."""

    latencies_ms: list[float]
    failures: int
    per_second: float

    @property
    def p50(self) -> float:
        """Median latency in ms."""
        return percentile(self.latencies_ms, 0.5)

    @property
    def p99(self) -> float:
        """Latency in ms that one request in a hundred exceeds."""
        return percentile(self.latencies_ms, 0.99)


@contextlib.contextmanager
def serving(name: str) -> Iterator[tuple[int, int]]:
    """The port and process id of a server; ended by closing its input."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*SERVERS[name], str(port), *(["starlette"] if name == "router" else [])]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdin and server.stdout
    try:
        if server.stdout.readline().strip() != b"ready":
            raise SystemExit(f"The {name} axon did not start: run {' '.join(map(str, command))} to see why.")
        yield port, server.pid
    finally:
        server.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        server.kill()


def start_load(
    port: int, connections: int, seconds: float, requests: int, *, junk: bool = False
) -> subprocess.Popen[bytes]:
    plan = {"port": port, "connections": connections, "seconds": seconds, "requests": requests, "junk": junk}
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
    return Load(latencies, measured["failures"], len(latencies) / measured["seconds"])


def drive(port: int, connections: int, seconds: float, requests: int) -> Load:
    """One run; refuses to report a speed while replies are wrong."""
    load = finish_load(start_load(port, connections, seconds, requests))
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
    runs: dict[str, dict[int, Load]] = {}
    for name, requests in (("stock", 400), ("ours", 12_000), ("router", 12_000)):
        with serving(name) as (port, _):
            drive(port, 4, 1.0, requests // 10)
            runs[name] = {connections: drive(port, connections, 4.0, requests) for connections in (1, 32)}
    ours, stock, router = runs["ours"], runs["stock"], runs["router"]
    rows: list[Row] = [
        {
            "measure": f"requests/s, {n} connection{'s' * (n > 1)}",
            "ours": ours[n].per_second,
            "stock": stock[n].per_second,
            "ratio": ours[n].per_second / stock[n].per_second,
            "goal": ">= 20",
        }
        for n in (1, 32)
    ]
    p50 = ("p50 ms, 1 connection", ours[1].p50, stock[1].p50, "<= 0.1")
    p99 = ("p99 ms, 1 connection", ours[1].p99, stock[1].p99, None)
    rows += [{"measure": m, "ours": a, "stock": b, "ratio": a / b, "goal": goal} for m, a, b, goal in (p50, p99)]
    for n in (1, 32):
        rows.append(
            {
                "measure": f"requests/s, {n}, behind Starlette's router",
                "ours": ours[n].per_second,
                "stock": router[n].per_second,
                "ratio": ours[n].per_second / router[n].per_second,
                "goal": "plain ASGI / router",
            }
        )
    return rows


def junk() -> list[Row]:
    rows: list[Row] = []
    for name, requests in (("ours", 8_000), ("stock", 400)):
        with serving(name) as (port, _):
            before, during, answered = flood(port, 3.0, requests)
        rows.append(
            {
                "measure": f"{name}: validator's p50 ms under junk / before ({answered} junk answered)",
                "ours": during.p50,
                "stock": before.p50,
                "ratio": during.p50 / before.p50,
                "goal": "<= 3" if name == "ours" else None,
            }
        )
    return rows


def resident_mib(process: int) -> float:
    """Resident size of a process, from /proc."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def memory() -> list[Row]:
    with serving("ours") as (port, process):
        drive(port, 4, 60.0, 2_000)
        early = resident_mib(process)
        drive(port, 4, 60.0, 18_000)
        late = resident_mib(process)
    measure = "resident MiB after 20,000 / 2,000 requests"
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
