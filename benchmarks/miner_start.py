"""The real miner on the mock network, by each runner: seconds until it is ready, and memory a second later.

A process each, in turns. The first start of a runner fills its caches (OpenVINO converts the model there, by torch) and
has a row of its own; the others find them. Goals for OpenVINO's warm start: under 4 s, under 500 MB.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import RESULTS, Row, machine, report, resident_mib

from streetvision.runner.order import installed

ROOT = Path(__file__).parent.parent
PATIENCE_S = 180.0
SETTLED_S = 1.0
"""After ready, before memory is read."""


def start(runner: str, state: Path) -> Row:
    """One start, ended again; ends the benchmark if the miner does not become ready."""
    command = [sys.executable, "neurons/miner.py", "--subtensor.network", "mock", "--device", "cpu"]
    command += ["--axon.ip", "127.0.0.1", "--axon.port", "0", "--state_dir", str(state), "--runner", runner]
    began = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as miner:
        said: list[str] = []
        try:
            for line in miner.stdout or ():
                said.append(line)
                if "ready: UID" in line or time.monotonic() - began > PATIENCE_S:
                    break
            seconds = time.monotonic() - began
            if not said or "ready: UID" not in said[-1]:
                sys.exit("The miner did not become ready:\n" + "".join(said[-20:]))
            time.sleep(SETTLED_S)
            megabytes = resident_mib(miner.pid) * 2**20 / 1e6
            torch = "libtorch" in Path(f"/proc/{miner.pid}/maps").read_text()
        finally:
            miner.send_signal(signal.SIGTERM)
            miner.wait(60)
    return {"runner": runner, "ready s": seconds, "resident MB": megabytes, "torch": "loaded" if torch else "absent"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warm", type=int, default=3, help="starts of each runner after the first")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for miner_start.json")
    arguments = parser.parse_args()
    runners = ["torch", *(["openvino"] if "openvino" in installed() else [])]
    where = machine()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="miners-") as scratch:
        for number in range(1 + arguments.warm):
            for runner in runners:
                cache: Row = {"cache": "warm" if number else "cold"}
                rows.append(cache | start(runner, Path(scratch) / runner))
                print(rows[-1], flush=True)
    report("miner_start", "The miner's start on a CPU with the bundled model", rows, where, arguments.results)


if __name__ == "__main__":
    main()
