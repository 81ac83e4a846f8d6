"""Swapping the model of the real miner process under load: half of what it can do, by signed requests over HTTP.

The bundled model on the CPU, as it serves. Swaps go over the control socket, in turns to a version of the same
architecture (its weights perturbed) and to one of another (other widths). A request counts for
the swap when it was due between the command and its end. Goals: no failure, p99 at most twice that of the seconds
before. Three to five minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from harness import Row, machine, percentile, report

from streetvision.control.client import SOCKET_NAME, call
from streetvision.models.checkpoint import load_checkpoint, save_checkpoint
from streetvision.models.config import ModelConfig
from streetvision.models.folder import bundled_checkpoint
from streetvision.models.network import build
from streetvision.registry.registry import REGISTRY_FOLDER, Registry

HERE = Path(__file__).parent
MINER = HERE.parent / "neurons" / "miner.py"
SWAPS = int(os.environ.get("SWAPS", "4"))
"""Of each kind."""
BEFORE_S = float(os.environ.get("BEFORE_S", "20"))
"""Seconds of steady load before each swap."""
CAPACITY_S = 10.0
CONNECTIONS = 32
IMAGES = 40
PATIENCE_S = 300.0

Calls = list[tuple[float, float, int]]
"""When each request was due (monotonic), its latency in seconds, its status."""


@dataclass(frozen=True)
class Swap:
    """One swap: its kind and when it began and ended."""

    kind: str
    began: float
    ended: float


def same(version: str, seed: int) -> tuple[ModelConfig, dict[str, torch.Tensor]]:
    """The bundled model with a little noise on its weights."""
    config, state = load_checkpoint(bundled_checkpoint())
    noise = torch.Generator().manual_seed(seed)
    weights = {
        name: value.float() + 0.01 * value.float().std() * torch.randn(value.shape, generator=noise)
        if value.dim() > 1
        else value.float()
        for name, value in state.items()
    }
    return replace(config, version=version), weights


def other(version: str, seed: int) -> tuple[ModelConfig, dict[str, torch.Tensor]]:
    """Another architecture: other hidden widths, random weights, decided answers."""
    config, _ = load_checkpoint(bundled_checkpoint())
    kwargs = {**config.architecture_kwargs, "mlp_ratio": 3.0 + seed / 4}
    config = replace(config, version=version, architecture_kwargs=kwargs)
    torch.manual_seed(seed)
    weights = {name: value.clone() for name, value in build(config).state_dict().items()}
    weights["head.fc.weight"] *= 100.0
    return config, weights


def register_versions(state: Path, scratch: Path) -> list[tuple[str, str]]:
    """Put the candidates into the miner's registry; (kind, version) in the order of the swaps."""
    registry = Registry(state / REGISTRY_FOLDER)
    order: list[tuple[str, str]] = []
    for number in range(1, SWAPS + 1):
        for kind, make, major in (("same architecture", same, 1), ("another architecture", other, 2)):
            version = f"{major}.{number}.0"
            save_checkpoint(scratch / version, *make(version, number))
            registry.add_folder(scratch / version, source="benchmark")
            order.append((kind, version))
    return order


@contextlib.contextmanager
def miner(state: Path, cache: Path, model: str = "bundled", device: str = "cpu") -> Iterator[int]:
    """The real process; its port. Nothing is in torch's compile cache at its start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    flags = (
        f"--subtensor.network mock --axon.ip 127.0.0.1 --axon.port {port} --axon.requests_per_minute 100000 "
        f"--model {model} --device {device} --state_dir {state} --rollout.keep_minutes 0"
    )
    environ = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(cache)}
    log = (state.parent / "miner.log").open("wb")
    process = subprocess.Popen([sys.executable, str(MINER), *flags.split()], stderr=log, env=environ)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (state / SOCKET_NAME).exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The miner did not start:\n{(state.parent / 'miner.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)
        log.close()


class Load:
    """The load generator: benchmarks/steady.py in a process of its own."""

    def __init__(self, port: int, rate: float | None, connections: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "steady.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin and self._process.stdout
        plan = {"port": port, "rate": rate, "connections": connections, "images": IMAGES}
        self._process.stdin.write(json.dumps(plan) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline().strip() != "ready":
            raise SystemExit("The load generator did not start: run benchmarks/steady.py by hand to see why.")

    def stop(self) -> Calls:
        """End it; all calls that it made."""
        out, _ = self._process.communicate("\n", timeout=60)
        return [tuple(call) for call in json.loads(out)]


def capacity(port: int) -> float:
    """Requests a second when eight connections ask again at once; after a warm-up."""
    load = Load(port, None, 8)
    time.sleep(CAPACITY_S)
    calls = load.stop()
    require_answers(calls)
    half = calls[0][0] + CAPACITY_S / 2
    late = [due for due, _, _ in calls if due > half]
    return len(late) / (max(late) - half)


def require_answers(calls: Calls) -> None:
    """No figures while anything fails outside of a swap."""
    wrong = [status for _, _, status in calls if status != 200]
    if wrong:
        raise SystemExit(
            f"{len(wrong)} of {len(calls)} requests were not answered (statuses {set(wrong)}): no figures."
        )


def swap_all(state: Path, order: list[tuple[str, str]]) -> list[Swap]:
    """Each swap after `BEFORE_S` seconds of load alone."""
    done = []
    for kind, version in order:
        time.sleep(BEFORE_S)
        began = time.monotonic()
        call(state / SOCKET_NAME, "swap", {"version": version})
        done.append(Swap(kind, began, time.monotonic()))
        print(f"{version} ({kind}) after {done[-1].ended - began:.1f} s", flush=True)
    time.sleep(1.0)
    return done


def p99(calls: Calls, since: float, until: float) -> float:
    """In ms, of the requests that were due in this window."""
    return percentile([latency * 1e3 for due, latency, _ in calls if since <= due < until], 0.99)


def rows_of(calls: Calls, swaps: list[Swap]) -> list[Row]:
    """One row for each kind, medians over its swaps."""
    rows: list[Row] = []
    for kind in dict.fromkeys(swap.kind for swap in swaps):
        mine = [swap for swap in swaps if swap.kind == kind]
        before = [p99(calls, swap.began - BEFORE_S + 1.0, swap.began) for swap in mine]
        during = [p99(calls, swap.began, swap.ended) for swap in mine]
        failures = sum(
            status != 200 and swap.began - 1.0 <= due < swap.ended + 1.0 for swap in mine for due, _, status in calls
        )
        rows.append(
            {
                "swap to": kind,
                "swaps": len(mine),
                "failures (goal 0)": failures,
                "seconds": statistics.median(swap.ended - swap.began for swap in mine),
                "p99 ms before": statistics.median(before),
                "p99 ms during": statistics.median(during),
                "ratio (goal <= 2)": statistics.median(b / a for a, b in zip(before, during, strict=True)),
            }
        )
    return rows


def main() -> None:
    """Measure, print the table, write results/swap.json."""
    torch.set_num_threads(1)
    where = machine()
    with tempfile.TemporaryDirectory(prefix="sv-") as folder:
        state = Path(folder) / "state"
        order = register_versions(state, Path(folder) / "scratch")
        with miner(state, Path(folder) / "cache") as port:
            most = capacity(port)
            load = Load(port, most / 2, CONNECTIONS)
            try:
                swaps = swap_all(state, order)
            finally:
                calls = load.stop()
    outside = [c for c in calls if not any(swap.began - 1.0 <= c[0] < swap.ended + 1.0 for swap in swaps)]
    require_answers(outside)
    print(f"\n{most:.0f} requests/s at most; {len(calls)} at half of that")
    report(
        "swap", f"Hot swap under {most / 2:.0f} requests/s, half the miner's own capacity", rows_of(calls, swaps), where
    )


if __name__ == "__main__":
    main()
