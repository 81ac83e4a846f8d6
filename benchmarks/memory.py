"""Resident memory of the real miner process after 20,000 requests against that after 2,000.

The whole of it runs: the mocked chain with blocks every 0.1 s and a new metagraph with each, signed requests over HTTP,
decoding, a real (one-block) model, request records. Goal: at most 5 % more.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bittensor.sp_core import Keypair
from harness import Row, machine, report, resident_mib

from streetvision.axon.client import legacy_headers, request_body
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.scenes.challenges import challenge

MINER = Path(__file__).parents[1] / "neurons" / "miner.py"
CALLERS = ("Alice", "Bob", "Charlie")
MARKS = (2_001, 20_001)


def start(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    config = tiny_config(depth=1)
    save_checkpoint(folder / "model", config, build(config).state_dict())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    flags = (
        f"--subtensor.network mock --mock.block_time 0.1 --mock.tempo 20 --axon.ip 127.0.0.1 --axon.port {port} "
        f"--axon.requests_per_minute 100000 --compile false --threads 1 --state_dir {folder} --model {folder}/model"
    )
    process = subprocess.Popen([sys.executable, str(MINER), *flags.split()], stderr=subprocess.DEVNULL)
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, port
        time.sleep(0.1)
    process.kill()
    raise SystemExit("The miner did not start: run it by hand to see why.")


def call(port: int, name: str, bodies: Iterator[bytes], count: int, failures: list[int]) -> None:
    """Send `count` signed requests on one kept-alive connection."""
    signer, receiver = Keypair.create_from_uri(f"//{name}"), Keypair.create_from_uri("//Miner").ss58_address
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(count):
        headers = legacy_headers(signer, receiver, nonce_ns=time.time_ns(), uuid=f"{threading.get_ident()}-{number}")
        connection.request("POST", "/ImageSynapse", next(bodies), headers)
        response = connection.getresponse()
        if "prediction" not in json.loads(response.read()) or response.status != 200:
            failures.append(response.status)
    connection.close()


def load(port: int, count: int, bodies: list[bytes]) -> None:
    failures: list[int] = []
    threads = [
        threading.Thread(target=call, args=(port, name, itertools.cycle(bodies), count // len(CALLERS), failures))
        for name in CALLERS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"{len(failures)} requests were not answered (statuses {set(failures)}): no figures.")


def main() -> None:
    """Measure, print the table, write results/memory.json."""
    where = machine()
    small = [request_body(challenge(seed, native=False).jpeg) for seed in range(40)]
    bodies = [*small, request_body(challenge(41, native=True).jpeg)]
    with tempfile.TemporaryDirectory(prefix="sv-") as folder:
        process, port = start(Path(folder))
        try:
            rows: list[Row] = []
            done, began = 0, time.monotonic()
            for mark in MARKS:
                load(port, mark - done, bodies)
                done = mark
                rows.append({"requests": mark, "resident MiB": resident_mib(process.pid)})
        finally:
            process.terminate()
            process.wait(20)
    ratio = float(rows[-1]["resident MiB"] or 0) / float(rows[0]["resident MiB"] or 1)
    for row in rows:
        row["of the first"] = float(row["resident MiB"] or 0) / float(rows[0]["resident MiB"] or 1)
    print(f"\n{MARKS[-1] / (time.monotonic() - began):.0f} requests/s; ratio {ratio:.4f}, goal at most 1.05")
    report("memory", "Resident size of the whole miner, goal at most 1.05 of the first", rows, where)


if __name__ == "__main__":
    main()
