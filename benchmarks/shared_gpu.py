"""Many miners behind one model: real processes, real signatures, 224 px JPEGs, embedded or through Ray Serve.

For each number of miners: requests a second in all, latencies, who answered, how busy the GPU was, and how many cores
each kind of process took, which says who is the limit. Rehearse it without a GPU: `shared_gpu.py --tiny --miners 2
--seconds 5`. On a GPU machine: `shared_gpu.py --model FOLDER --gpus 0.25 --replicas 4 --miners 1 4 8 12`.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine import jpeg
from harness import RESULTS, Row, machine, percentile, report

from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.registry.registry import open_registry

HERE = Path(__file__).parent
MINER, LOAD = HERE.parent / "neurons" / "miner.py", HERE / "load.py"
SERVED = re.compile(r'^streetvision_engine_served_total\{by="(\w+)"\} ([\d.e+]+)$', re.MULTILINE)
START_S, SETTLE_S = 300.0, 180.0
KINDS = {
    "miners": "neurons/miner.py",
    "bridges": "streetvision.cluster.bridge",
    "load": "load.py",
    "replicas": "ray::ServeReplica",
    "ray": "ray",
}
"""Kinds of process by words of their command lines; the first that fits counts."""


@dataclass(frozen=True)
class OneMiner:
    """A real miner that runs."""

    process: subprocess.Popen[bytes]
    port: int
    metrics: int

    def served(self) -> Counter[str]:
        """Answers by who computed them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10) as reply:
            return Counter({by: int(float(count)) for by, count in SERVED.findall(reply.read().decode())})

    @property
    def ready(self) -> bool:
        """Whether validators may ask."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass
class Watch:
    """Cores by kind of process and the GPU's busy share, while it watches."""

    busy: list[float] = field(default_factory=list)
    cores: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For as long as the load runs."""
        before, began, over = cpu_seconds(), time.monotonic(), threading.Event()
        thread = threading.Thread(target=self._ask_gpu, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            spent, seconds = cpu_seconds() - before, time.monotonic() - began
            self.cores = {kind: spent[kind] / seconds for kind in KINDS}

    def _ask_gpu(self, over: threading.Event) -> None:
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while shutil.which("nvidia-smi") and not over.wait(0.5):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                self.busy.append(max(float(line) for line in done.stdout.split()) / 100)


def cpu_seconds() -> Counter[str]:
    """Processor time so far by kind of process."""
    spent: Counter[str] = Counter()
    tick = os.sysconf("SC_CLK_TCK")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            times = (folder / "stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        kind = next((kind for kind, part in KINDS.items() if part in words), None)
        if kind is not None:
            spent[kind] += (int(times[11]) + int(times[12])) / tick  # type: ignore[assignment]  # seconds are no int
    return spent


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def model_in(folder: Path, wanted: Path | None) -> tuple[Path, str]:
    """A state folder with the model in its registry, for the replicas; the model's folder and version."""
    source = wanted
    if source is None:
        source, config = folder / "tiny", tiny_config(depth=1, width=64, version="1.0.0")
        save_checkpoint(source, config, build(config).state_dict())
    version = open_registry(folder / "shared").add_folder(source, source="a benchmark").version
    return source, version


@contextmanager
def miners(folder: Path, model: Path, count: int, flags: list[str]) -> Iterator[list[OneMiner]]:
    """So many of them, warm, each with ports and a state folder of its own."""
    ports = free_ports(2 * count)
    started: list[OneMiner] = []
    try:
        for place in range(count):
            port, metrics = ports[2 * place : 2 * place + 2]
            own = [
                *("--subtensor.network", "mock", "--model", str(model), "--state_dir", str(folder / f"m{place}")),
                *("--axon.ip", "127.0.0.1", "--axon.port", str(port), "--metrics.port", str(metrics)),
                *("--axon.requests_per_minute", "100000", "--log.enabled", "false", *flags),
            ]
            log = (folder / f"m{place}.log").open("wb")
            process = subprocess.Popen([sys.executable, str(MINER), *own], stdout=log, stderr=log)
            started.append(OneMiner(process, port, metrics))
        until(lambda: all(miner.ready for miner in started), START_S, f"a miner did not start: see {folder}/m*.log")
        yield started
    finally:
        for miner in started:
            miner.process.send_signal(signal.SIGTERM)
        for miner in started:
            miner.process.wait(60)


def until(condition: object, seconds: float, trouble: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]  # a callable without arguments
        if time.monotonic() > deadline:
            raise SystemExit(trouble)
        time.sleep(0.2)


def load(miner: OneMiner, connections: int, seconds: float, rate: float) -> subprocess.Popen[bytes]:
    """A generator of signed requests for one miner, in closed loops; `rate` bounds what is signed beforehand."""
    plan = {
        "port": miner.port,
        "connections": connections,
        "seconds": seconds,
        "requests": int(rate * seconds),
        "warm": 0.2 * seconds,
        "image": base64.b64encode(jpeg()).decode(),
    }
    process = subprocess.Popen([sys.executable, str(LOAD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(json.dumps(plan).encode())
    process.stdin.close()
    return process


def loaded(running: list[OneMiner], args: argparse.Namespace, seconds: float) -> list[dict[str, object]]:
    processes = [load(miner, args.connections, seconds, args.rate) for miner in running]
    return [json.loads(process.stdout.read()) for process in processes if process.stdout is not None]


def warm_up(running: list[OneMiner], args: argparse.Namespace, backend: str) -> None:
    """Short loads until the backend answers nearly all requests of every miner."""

    def settled() -> bool:
        before = [miner.served() for miner in running]
        loaded(running, args, 2.0)
        got = [miner.served() - old for miner, old in zip(running, before, strict=True)]
        return all(new.total() and (backend == "embedded" or new[backend] > 0.9 * new.total()) for new in got)

    until(settled, SETTLE_S, "the backend does not answer: see `streetvision cluster status`")


def measure(folder: Path, model: Path, count: int, backend: str, args: argparse.Namespace, flags: list[str]) -> Row:
    print(f"{count} miners, {backend}", flush=True)
    watch = Watch()
    with miners(folder / f"{backend}{count}", model, count, flags) as running:
        warm_up(running, args, backend)
        before = sum((miner.served() for miner in running), Counter[str]())
        with watch.watching():
            results = loaded(running, args, args.seconds)
        served = sum((miner.served() for miner in running), Counter[str]()) - before
    latencies = [1e3 * value for result in results for value in result["latencies"]]  # type: ignore[attr-defined]
    slowest = max(float(result["seconds"]) for result in results)  # type: ignore[arg-type]
    row: Row = {
        "miners": count,
        "backend": backend,
        "requests/s": len(latencies) / slowest,
        "p50 ms": percentile(latencies, 0.5),
        "p99 ms": percentile(latencies, 0.99),
        "failures": sum(int(result["failures"]) for result in results),  # type: ignore[call-overload]
        "embedded share": served["embedded"] / max(1, served.total()),
        "GPU busy": sum(watch.busy) / len(watch.busy) if watch.busy else None,
    }
    return row | {f"cores: {kind}": used for kind, used in watch.cores.items()}


def cluster(*words: str, variables: dict[str, str], state: Path) -> None:
    command = [sys.executable, "-m", "streetvision.cli", "cluster", *words, "--state_dir", str(state)]
    subprocess.run(command, check=True, env={**os.environ, **variables}, cwd=state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--miners", type=int, nargs="+", default=[1, 4, 8, 12])
    parser.add_argument("--alone", type=int, nargs="*", default=[1], help="numbers of miners to measure embedded")
    parser.add_argument("--model", type=Path, help="folder of a checkpoint; default: a tiny one")
    parser.add_argument("--tiny", action="store_true", help="few connections, for a rehearsal on two cores")
    parser.add_argument("--device", default="cpu", help="of the embedded models behind the backend")
    parser.add_argument("--alone_device", default="auto", help="of the embedded models without a backend")
    parser.add_argument("--gpus", type=float, default=0.0, help="of a replica")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--connections", type=int, default=64, help="for each miner")
    parser.add_argument("--rate", type=float, default=1600.0, help="requests a second signed for each miner, at most")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--in_flight", type=int, default=8)
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    if args.tiny:
        args.connections, args.rate = 4, 300.0
    where = machine()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model, version = model_in(folder, args.model)
        port, page = free_ports(2)
        variables = {
            "RAY_PORT": str(port),
            "RAY_DASHBOARD_PORT": str(page),
            "RAY_GPUS": str(args.gpus),
            "RAY_CPUS": "0.1",
            "RAY_MIN_REPLICAS": str(args.replicas),
            "RAY_MAX_REPLICAS": str(args.replicas),
            "MODEL_THREADS": "1",
        }
        for count in args.alone:
            (folder / f"embedded{count}").mkdir()
            rows.append(measure(folder, model, count, "embedded", args, ["--device", args.alone_device]))
        try:
            cluster("up", variables=variables, state=folder / "shared")
            cluster("deploy", version, variables=variables, state=folder / "shared")
            through = ["--backend", "ray", "--ray.address", f"127.0.0.2:{port}", "--device", args.device]
            through += ["--threads", "1", "--backend.in_flight", str(args.in_flight)]
            for count in args.miners:
                (folder / f"ray{count}").mkdir()
                rows.append(measure(folder, model, count, "ray", args, through))
                report("shared_gpu", "Many miners behind one model", rows, where, args.results)
        finally:
            cluster("down", variables=variables, state=folder / "shared")


if __name__ == "__main__":
    main()
