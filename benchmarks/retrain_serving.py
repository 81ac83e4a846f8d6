"""What a training costs the miner beside it: the real process under a quarter of the load it can take.

In turns with the miner alone, the bundled model learns on by LoRA in a child of `streetvision.retrain.child`, as it
does by night. Goal: p99 at most twice that of the seconds before, and no failure. Four minutes.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from harness import Row, machine, percentile, report
from PIL import Image
from swap import Calls, Load, capacity, miner, require_answers

from streetvision.models.folder import bundled_checkpoint
from streetvision.retrain.child import Bounds, JobStopped, run_job
from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.folder import open_folder
from streetvision.sources.listed import write_list
from streetvision.sources.place import dataset_folder
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing
from streetvision.sources.stored import StoredDataset

ROUNDS = int(os.environ.get("ROUNDS", "4"))
WINDOW_S = float(os.environ.get("WINDOW_S", "20"))
"""Of each kind, in each round."""
PICTURES = 400
RECIPE = """
[tune]
method = "lora"
[optimiser]
epochs = 1000
[run]
batch = 16
log = "none"
save_minutes = 1000
"""


def pictures(folder: Path, state: Path) -> Path:
    """A set to learn from; what the pictures show does not matter here."""
    for number in range(PICTURES):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 255, (9, 12, 3), np.uint8)
        path = folder / ("roadwork" if number % 2 else "none") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((640, 480), Image.Resampling.BICUBIC).save(path)
    with writing(dataset_folder("noise", state)) as store:
        add(open_folder(folder), store)
        arrange(store, Shares())
    file = folder / "pictures.jsonl"
    write_list(file, StoredDataset(dataset_folder("noise", state)).examples())
    return file


@contextlib.contextmanager
def training(request: Mapping[str, Any]) -> Iterator[None]:
    """A training under way; it ends with what it has learned."""
    learning, stop = threading.Event(), threading.Event()

    def tell(event: Mapping[str, Any]) -> None:
        if event.get("event") == "progress":
            learning.set()

    def work() -> None:
        with contextlib.suppress(JobStopped):
            run_job("train", request, Bounds(memory_gib=16.0), tell=tell, stop=stop.is_set)

    thread = threading.Thread(target=work)
    thread.start()
    if not learning.wait(120):
        raise SystemExit("The training did not begin: run it by hand to see why.")
    try:
        yield
    finally:
        stop.set()
        thread.join()


def measure(port: int, rate: float, request: Mapping[str, Any]) -> tuple[list[tuple[float, float]], list[Calls]]:
    """p99 in ms alone and beside a training, in each round, and all calls."""
    found, every = [], []
    for number in range(ROUNDS):
        alone = window(port, rate)
        with training(request):
            beside = window(port, rate)
        every += [alone, beside]
        found.append((p99(alone), p99(beside)))
        print(f"round {number + 1}: p99 {found[-1][0]:.0f} ms alone, {found[-1][1]:.0f} ms beside", flush=True)
    return found, every


def window(port: int, rate: float) -> Calls:
    load = Load(port, rate, 16)
    time.sleep(WINDOW_S)
    return load.stop()


def p99(calls: Calls) -> float:
    return percentile([latency * 1e3 for _, latency, _ in calls], 0.99)


def main() -> None:
    where = machine()
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        folder = Path(name)
        state = folder / "state"
        request = {
            "folder": str(folder),
            "state_dir": str(state),
            "pictures": str(pictures(folder / "noise", state)),
            "serving": str(bundled_checkpoint()),
            "version": "bundled",
            "recipe": str(folder / "recipe.toml"),
            "device": "cpu",
            "tracking": False,
        }
        (folder / "recipe.toml").write_text(RECIPE)
        with miner(state, folder / "cache") as port:
            rate = capacity(port) / 4
            found, every = measure(port, rate, request)
    for calls in every:
        require_answers(calls)
    rows: list[Row] = [
        {
            "requests a second": rate,
            "rounds": ROUNDS,
            "seconds each": WINDOW_S,
            "p99 ms alone": statistics.median(alone for alone, _ in found),
            "p99 ms beside a training": statistics.median(beside for _, beside in found),
            "ratio (goal <= 2)": statistics.median(beside / alone for alone, beside in found),
            "worst ratio": max(beside / alone for alone, beside in found),
            "failures (goal 0)": 0,
        }
    ]
    report("retrain_serving", "The miner beside a training on the CPU", rows, where)


if __name__ == "__main__":
    main()
