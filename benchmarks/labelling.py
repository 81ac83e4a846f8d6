"""Labelling by an oracle: pictures whose answers are known, and a run that is killed while a server charges for it.

python benchmarks/labelling.py [--pictures 10000] [--kills 20]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from fake_oracle import MODEL, TOKENS, FakeOracle, serving
from harness import Row, machine, report
from PIL import Image

from streetvision.labelling.asking import utc_now
from streetvision.labelling.schema import State
from streetvision.labelling.shots import make_prompt
from streetvision.labelling.store import LabellingStore
from streetvision.settings.oracle import OracleSettings

KILLED_PICTURES = 1000
CONCURRENCY = 8
DELAY_MS = (10, 60)
"""That the server takes to answer, half of it before it charges."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    wanted = parser.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report(
            "labelling-cached", "Pictures whose answers are known", cached(folder / "cached", wanted.pictures), where
        )
        title = f"A run that is killed {wanted.kills} times"
        report("labelling-kills", title, killed(folder / "killed", wanted.kills), where)


def draw(folder: Path, count: int) -> None:
    """Photographs in small: 224 pixels, about 10 KB."""
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (28, 28, 3), np.uint8)
        out = BytesIO()
        Image.fromarray(pixels).resize((224, 224)).save(out, "JPEG", quality=90)
        (folder / f"{number:05d}.jpg").write_bytes(out.getvalue())


def environment(oracle: FakeOracle, state: Path) -> Mapping[str, str]:
    asked = {"URL": oracle.url, "MODEL": MODEL, "CROPS": "0", "CONCURRENCY": str(CONCURRENCY)}
    settings = {f"ORACLE_{name}": value for name, value in asked.items()}
    return {**os.environ, **settings, "STREETVISION_STATE_DIR": str(state)}


def command(pictures: Path) -> list[str]:
    main = "from streetvision.cli.main import main; main()"
    return [sys.executable, "-c", main, "label", "run", str(pictures), "--yes"]


def cached(folder: Path, count: int) -> list[Row]:
    """The whole command, twice: every picture is asked about, then none."""
    draw(folder / "pictures", count)
    rows: list[Row] = []
    with serving(keep=False) as oracle:
        env = environment(oracle, folder / "state")
        for run in ("asked", "cached"):
            before, begun = oracle.charged.total(), time.perf_counter()
            subprocess.run(command(folder / "pictures"), env=env, check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - begun
            questions = oracle.charged.total() - before
            rows.append({"run": run, "pictures": count, "questions": questions, "seconds": round(seconds, 2)})
    return rows


def killed(folder: Path, kills: int) -> list[Row]:
    """Kill -9 at moments spread over the run, then let it end; the server counts what it charges."""
    draw(folder / "pictures", KILLED_PICTURES)
    rng = random.Random(72)

    def delay() -> float:
        return rng.uniform(*DELAY_MS) / 1e3

    with serving(keep=False, delay_s=delay) as oracle:
        env, done = environment(oracle, folder / "state"), 0
        for number in range(kills):
            goal = KILLED_PICTURES * (number + 1) // (kills + 1)
            done += kill_at(command(folder / "pictures"), env, oracle, goal, rng)
        subprocess.run(command(folder / "pictures"), env=env, check=True, stdout=subprocess.DEVNULL)
        return [_row(oracle, folder / "state", done)]


def kill_at(line: list[str], env: Mapping[str, str], oracle: FakeOracle, goal: int, rng: random.Random) -> bool:
    """Start the command and kill it when the server has charged that much; whether it still ran."""
    process = subprocess.Popen(line, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and oracle.charged.total() < goal:
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.05))
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return running


def _row(oracle: FakeOracle, state: Path, kills: int) -> Row:
    settings = OracleSettings(url=oracle.url, model=MODEL, crops=0)
    with LabellingStore(state) as store:
        states = store.states(make_prompt(settings, state).asker)
        counted = store.spent(utc_now()).month.tokens
    charged = oracle.charged.total()
    return {
        "kills": kills,
        "pictures": KILLED_PICTURES,
        "charged questions": charged,
        "double charges": oracle.double,
        "answered": states.get(State.ANSWERED, 0),
        "lost": states.get(State.LOST, 0),
        "charged tokens": charged * sum(TOKENS),
        "counted tokens": counted,
    }


if __name__ == "__main__":
    main()
