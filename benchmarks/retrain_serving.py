"""What a training costs the miner beside it: the real process under a quarter of the load it can take.

One training goes on in a child of `streetvision.retrain.child`, as it does by night. It is held (SIGSTOP) and let go
in turns, so that each window beside it has one without it next to it. The bundled model on the CPU: p99 at most twice
that without. `--device cuda`: a ViT-B with random weights, at most 1.3 times, where NVIDIA's MPS runs with the share
of `--retrain.gpu_share`. `--cores 4` keeps the miner and the load to four cores each and the training to the others.
Two minutes, and no failure.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import RESULTS, Row, machine, percentile, report
from PIL import Image
from runner import description
from swap import Calls, Load, capacity, miner, require_answers

from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.folder import bundled_checkpoint
from streetvision.models.network import build
from streetvision.models.versions import BUNDLED
from streetvision.registry.registry import open_registry
from streetvision.retrain.child import WORKER, Bounds, JobStopped, run_job
from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.folder import open_folder
from streetvision.sources.listed import write_list
from streetvision.sources.place import dataset_folder
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing
from streetvision.sources.stored import StoredDataset

SETTLE_S = 1.0
"""After a training was held or let go."""
PICTURES = 400
CONNECTIONS = 16
RECIPE = """
[tune]
method = "lora"
[optimiser]
epochs = 1000
[run]
batch = {batch}
log = "none"
save_minutes = 1000
"""


@dataclass(frozen=True)
class Model:
    """That serves, and that the training goes on from."""

    version: str
    folder: Path


def bundled(_: Path) -> Model:
    return Model(BUNDLED, bundled_checkpoint())


def vit_b(scratch: Path) -> Model:
    """In the registry of the state folder below `scratch`."""
    config = replace(description("base"), version="1.0.0", input_size=224)
    save_checkpoint(scratch / "model", config, build(config).state_dict())
    return Model("1.0.0", open_registry(scratch / "state").add_folder(scratch / "model", source="benchmark").folder)


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


class Training:
    """A training under way, which may be held."""

    def __init__(self, process: int) -> None:
        self._group = process

    def hold(self) -> None:
        """Until it is let go: it computes nothing, and keeps its memory."""
        os.killpg(self._group, signal.SIGSTOP)

    def go_on(self) -> None:
        """Where it was held."""
        os.killpg(self._group, signal.SIGCONT)


@contextlib.contextmanager
def training(request: Mapping[str, Any], bounds: Bounds) -> Iterator[Training]:
    """From its first step on; it ends with what it has learned."""
    learning, stop = threading.Event(), threading.Event()

    def tell(event: Mapping[str, Any]) -> None:
        if event.get("event") == "progress":
            learning.set()

    def work() -> None:
        with contextlib.suppress(JobStopped):
            run_job("train", request, bounds, tell=tell, stop=stop.is_set)

    thread = threading.Thread(target=work)
    thread.start()
    if not learning.wait(300):
        raise SystemExit("The training did not begin: run it by hand to see why.")
    going = Training(child_that_trains())
    try:
        yield going
    finally:
        going.go_on()
        stop.set()
        thread.join()


def child_that_trains() -> int:
    """Our child that does the job; it leads a process group of its own."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and WORKER.encode() in (path / "cmdline").read_bytes():
                return int(path.name)
    raise SystemExit("The process that trains was not found.")


def measure(port: int, rate: float, going: Training, rounds: int, window_s: float) -> tuple[list[Calls], list[Calls]]:
    """The calls of each window alone and beside the training; which of the two comes first changes in turns."""
    load, spans = Load(port, rate, CONNECTIONS), list[tuple[bool, float, float]]()
    try:
        for number in range(rounds):
            for beside in (False, True) if number % 2 else (True, False):
                (going.go_on if beside else going.hold)()
                time.sleep(SETTLE_S)
                spans.append((beside, time.monotonic(), time.monotonic() + window_s))
                time.sleep(window_s)
    finally:
        going.go_on()
        calls = load.stop()
    require_answers(calls)
    cut = [(which, [one for one in calls if since <= one[0] < until]) for which, since, until in spans]
    return [some for which, some in cut if not which], [some for which, some in cut if which]


def p99(calls: Calls) -> float:
    """In ms."""
    return percentile([latency * 1e3 for _, latency, _ in calls], 0.99)


@contextlib.contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """What is started within runs on these cores; on all, where none are named."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def divided(count: int) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """Cores of the miner, of the load, of the training."""
    cores = sorted(os.sched_getaffinity(0))
    if count and len(cores) < 3 * count:
        raise SystemExit(f"{len(cores)} cores are too few for {count} of the miner's own: leave --cores out.")
    return cores[:count], cores[count : 2 * count], cores[2 * count :] if count else []


def row(rate: float, alone: Sequence[Calls], beside: Sequence[Calls], goal: float) -> Row:
    """Medians over the pairs of windows, and over all calls."""
    pairs = [(p99(first), p99(second)) for first, second in zip(alone, beside, strict=True)]
    ratios = sorted(second / first for first, second in pairs)
    everything = [[one for window in windows for one in window] for windows in (alone, beside)]
    return {
        "requests a second": round(rate, 1),
        "pairs of windows": len(pairs),
        "requests": sum(map(len, everything)),
        "p99 ms alone": round(statistics.median(first for first, _ in pairs), 2),
        "p99 ms beside": round(statistics.median(second for _, second in pairs), 2),
        f"ratio (goal <= {goal:g})": round(statistics.median(ratios), 2),
        "lowest": round(ratios[0], 2),
        "highest": round(ratios[-1], 2),
        "of all calls": round(p99(everything[1]) / p99(everything[0]), 2),
        "failures (goal 0)": 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--cores", type=int, default=0, help="of the miner and of the load; 0: all run everywhere")
    parser.add_argument("--gpu_share", type=float, default=0.25, help="of the multiprocessors, where MPS runs")
    parser.add_argument("--nice", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--window", type=float, default=5.0, help="seconds")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    gpu = given.device == "cuda"
    where = machine() | ({"mps": "on" if mps_runs() else "off"} if gpu else {})
    serving, loading, learning = divided(given.cores)
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        folder = Path(name)
        state = folder / "state"
        model = (vit_b if gpu else bundled)(folder)
        request = {
            "folder": str(folder),
            "state_dir": str(state),
            "pictures": str(pictures(folder / "noise", state)),
            "serving": str(model.folder),
            "version": model.version,
            "recipe": str(folder / "recipe.toml"),
            "device": "auto" if gpu else "cpu",
            "tracking": False,
        }
        (folder / "recipe.toml").write_text(RECIPE.format(batch=64 if gpu else 16))
        with contextlib.ExitStack() as ends:
            with pinned(serving):
                port = ends.enter_context(miner(state, folder / "cache", model.version, given.device))
            with pinned(loading):
                rate = capacity(port) / 4
            with pinned(learning):
                going = ends.enter_context(training(request, Bounds(64.0, given.gpu_share, given.nice)))
            with pinned(loading):
                alone, beside = measure(port, rate, going, given.rounds, given.window)
    title = "The miner beside a training on the " + ("GPU" if gpu else "CPU")
    suffix = "-cuda" if gpu else ""
    report(f"retrain_serving{suffix}", title, [row(rate, alone, beside, 1.3 if gpu else 2.0)], where, given.results)


def mps_runs() -> bool:
    """Whether its control daemon is there; the processes started here use it then."""
    return Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"), "control").exists()


if __name__ == "__main__":
    main()
