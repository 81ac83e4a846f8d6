"""How fast the log goes into FiftyOne, and what a sync with nothing new costs. A minute.

Whole commands are timed, and each starts a mongod of FiftyOne's own, as it does for an operator, in a folder that goes
afterwards. `--quick` only tries it out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import RESULTS, Row, machine, report
from prediction_log import disk, inserted

QUICK = "--quick" in sys.argv
ROWS = 1000 if QUICK else 10_000
ROUNDS = 1 if QUICK else 3
IMAGE_BYTES = 10_000
COMMAND = (sys.executable, "-c", "from streetvision.cli.main import main; main()", "mine")


def command(folder: Path, *arguments: str) -> tuple[float, dict[str, Any]]:
    """Seconds of a whole command, and the last JSON line it printed."""
    environ = {**os.environ, "STREETVISION_STATE_DIR": str(folder), "FIFTYONE_DATABASE_DIR": str(folder / "database")}
    environ.pop("FIFTYONE_DATABASE_URI", None)
    began = time.perf_counter()
    done = subprocess.run([*COMMAND, *arguments, "--json"], env=environ, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{arguments}: {done.stderr}")
    return seconds, json.loads(done.stdout.splitlines()[-1])


def await_end(database: Path) -> None:
    """Wait until FiftyOne's mongod, which outlives its last client by a moment, has let go of its folder."""
    lock = database / "mongod.lock"
    limit = time.monotonic() + 30
    while lock.is_file() and lock.stat().st_size and time.monotonic() < limit:
        time.sleep(0.1)


def repeated(folder: Path, *arguments: str) -> float:
    """The slowest of some runs that must find nothing new."""
    runs = [command(folder, *arguments) for _ in range(ROUNDS)]
    if any(said["rows"] for _, said in runs):
        raise SystemExit("A sync with nothing new read rows: no figures.")
    return max(seconds for seconds, _ in runs)


def measure(folder: Path) -> list[Row]:
    """Import, sync again in three ways, and pick from what was imported."""
    inserted(folder / "log", ROWS, lambda _: os.urandom(IMAGE_BYTES))
    first, said = command(folder, "sync")
    if (said["added"], said["samples"]) != (ROWS, ROWS):
        raise SystemExit(f"{said} is not {ROWS} pictures: no figures.")
    hard, picked = command(folder, "hard", "-k", "100")
    if picked["considered"] != ROWS:
        raise SystemExit(f"{picked} did not consider {ROWS} pictures: no figures.")
    return [
        {"measure": f"rows/s, first sync of {ROWS:,} rows", "result": ROWS / first, "goal": ">= 300"},
        {"measure": f"s, sync of {ROWS:,} rows with nothing new", "result": repeated(folder, "sync"), "goal": "< 3"},
        {
            "measure": "s, the same with --full (asks the database)",
            "result": repeated(folder, "sync", "--full"),
            "goal": None,
        },
        {"measure": f"s, `mine hard -k 100` over {ROWS:,} pictures", "result": hard, "goal": None},
    ]


def main() -> None:
    """Print one table and write results/mining.json."""
    where = machine()
    with disk() as folder:
        rows = measure(folder)
        await_end(folder / "database")
    title = f"Mining: whole commands over {ROWS:,} rows with 384-wide embeddings and 10 KB images"
    report("mining", title, rows, where, Path(tempfile.gettempdir()) if QUICK else RESULTS)


if __name__ == "__main__":
    main()
