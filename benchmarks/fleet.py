"""Several miners under `streetvision fleet up`: memory of each further one, and the time until all of them serve.

Real processes with the bundled model in each, on the CPU, each on a mocked chain of its own, without requests. Memory
is Pss (proc(5)): what several processes map, such as torch's libraries, is divided among them, so that the sum is what
the machine gives up. The fleet starts as many miners at once as the machine has cores for (`fleet/supervisor.py`).
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import RESULTS, Row, machine, report

from streetvision.fleet.asking import NotUp, kept_by
from streetvision.fleet.fleet_file import Fleet, load_fleet
from streetvision.fleet.overview import fleet_status, shared_memory
from streetvision.fleet.schema import FleetStatus

CLI = "from streetvision.cli.main import main; main()"
PATIENCE_S = 600.0
SETTLE_S = 10.0
"""After the last one is ready, before memory is read: what a start has held is given back by then."""
SHARED = """
[fleet]
port = 0
state_dir = "{folder}/s"
[shared]
subtensor.network = "mock"
axon.ip = "127.0.0.1"
threads = 1
log.max_gib = 1
"""


def write(folder: Path, count: int) -> Path:
    """A file of so many miners on free ports."""
    file = folder / "fleet.toml"
    probes = [socket.socket() for _ in range(count)]
    text = SHARED.format(folder=folder)
    for number, probe in enumerate(probes):
        probe.bind(("127.0.0.1", 0))
        text += f"[miners.hot{number}]\naxon.port = {probe.getsockname()[1]}\n"
    for probe in probes:
        probe.close()
    file.write_text(text)
    return file


def until_all_serve(fleet: Fleet) -> FleetStatus:
    """The status once all serve."""
    limit = time.monotonic() + PATIENCE_S
    while time.monotonic() < limit:
        try:
            found = fleet_status(fleet, kept_by(fleet))
        except NotUp:
            found = None
        if found is not None and found["totals"]["serving"] == len(fleet.members):
            return found
        time.sleep(0.2)
    raise SystemExit("The miners did not start: run `streetvision fleet up` by hand to see why.")


def measure(count: int) -> Row:
    """One fleet of so many."""
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        file = write(Path(name), count)
        fleet = load_fleet(file, {})
        began = time.monotonic()
        command = [sys.executable, "-c", CLI, "fleet", "up", "--file", str(file)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            until_all_serve(fleet)
            ready = time.monotonic() - began
            time.sleep(SETTLE_S)
            miners = [(row["memory"] or 0) / 2**20 for row in fleet_status(fleet, {})["miners"]]
            keeper = (shared_memory(process.pid) or 0) / 2**20
        finally:
            process.terminate()
            process.wait(120)
    return {"miners": count, "all serve after s": ready, "MiB in all": sum(miners) + keeper, "MiB of the fleet": keeper}


def main() -> None:
    """Measure, print the table, write fleet.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--miners", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for fleet.json")
    arguments = parser.parse_args()
    where = machine()
    rows: list[Row] = []
    for count in arguments.miners:
        row = measure(count)
        if rows:
            before = rows[-1]
            more = float(row["MiB in all"] or 0) - float(before["MiB in all"] or 0)
            row["MiB each further"] = more / (count - int(before["miners"] or 0))
        else:
            row["MiB each further"] = None
        rows.append(row)
        print(row, flush=True)
    report(
        "fleet", "Several miners on one machine, the bundled model in each, on the CPU", rows, where, arguments.results
    )


if __name__ == "__main__":
    main()
