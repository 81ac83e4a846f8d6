"""Training a ViT-L at 224 pixels from JPEGs on disk, against timm's own training on the same files in the same minutes.

`--part speed`: ours and timm's take turns in short windows, in the first epoch, which decodes, and in later ones, which
find decoded pictures in memory; timm's has as many workers as there are cores, and its files in the page cache. Then
what the GPU does in a step of either. `--part pipeline`: loading and augmenting alone. `--part busy`: how busy the GPU
is over a minute of LoRA, and where the host is meanwhile. `--part head`: the head alone, from kept features. `--part
steps`: timm's step alone. `--part memory`: LoRA at batch 32.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from harness import RESULTS, Row, machine, report
from training_feed import augmenting_rows, loading_rows
from training_kernels import Profiled, kernel_rows, profiled
from training_ours import network, recipe_for, time_ours, train_ours
from training_pictures import known_pictures, make_pictures
from training_rival import Rival, ready_batches, rival_loader, rival_model
from training_timed import Timed
from training_windows import Plan, Window, Windows, compared

from streetvision.base.resources import usable_threads
from streetvision.sources.dataset import Example
from streetvision.training.decode_pool import pool_workers
from streetvision.training.loading import Loading
from streetvision.training.recipe import Recipe

EPOCH = 35_000
"""Pictures of the set that times are extrapolated to."""
EPOCHS = 6
"""Of the recipe `lora`."""
REPEATS = 12
"""Times that a small set comes in an epoch of either loop, so that the first epoch is long enough to be timed."""
SMALLEST_SHARE = 0.02
"""Of the host's time that is worth a row."""
FIRST_EPOCH_S = 8.0
"""Of the first epoch that are looked at for how busy the GPU is."""
HEAD = 1024
"""Pictures whose features are kept for the head; making them is not timed."""
Found = TypeVar("Found")
Tables = dict[str, list[Row]]
"""By the name of the result."""


class Bench:
    """What every measurement needs."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        self.folder, self.size, self.batch, self.seconds = folder, given.size, given.batch, given.seconds
        self.workers = given.workers
        self.device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
        made = known_pictures(folder) or make_pictures(folder, given.pictures, usable_threads())
        self.examples: list[Example] = made * REPEATS

    def recipe(self, method: str, *, compiled: bool, **run: object) -> Recipe:
        """Of one of our trainings."""
        batch = int(str(run.pop("batch", self.batch)))
        return recipe_for(method, batch, compile=compiled, workers=self.workers, **run)

    def ours(self, method: str, *, compiled: bool, **run: object) -> Timed:
        """One of our trainings, timed as a whole."""
        examples = self.examples[:HEAD] if method == "head" else self.examples
        return time_ours(self.recipe(method, compiled=compiled, **run), self.size, examples, self.seconds)

    def in_windows(self, recipe: Recipe, watched: Windows) -> list[Window]:
        """One of our trainings, in windows."""
        train_ours(recipe, self.size, self.examples, watched)
        return watched.found

    def rival(self, method: str, *, compiled: bool, ready: bool = False) -> Rival:
        """One of timm's; `ready`: without its loader."""
        model = rival_model(self.size, method, self.device, compiled=compiled)
        if ready:
            loader = ready_batches(self.size, self.batch, self.device)
        else:
            loader = rival_loader(self.folder, REPEATS, self.size, self.batch, usable_threads(), self.device)
        return Rival(model, loader, self.batch, self.device)


def speed(bench: Bench, ways: Sequence[str], plan: Plan) -> Tables:
    """The whole loops, taking turns; and what the GPU does in a step of each."""
    found = [turns for way in ways if (turns := _tried(partial(_turns, bench, way, plan)))]
    return {
        "speed": [row for rows, _ in found for row in rows],
        "kernels": [row for _, rows in found for row in rows],
    }


def _turns(bench: Bench, way: str, plan: Plan) -> tuple[list[Row], list[Row]]:
    method, compiled = _parts(way)
    rival, last = bench.rival(method, compiled=compiled), Profiled()
    window = partial(rival.window, plan.seconds, plan.settle)
    watched = Windows(plan, bench.batch, bench.device, rival=window, last=last)
    rows = compared(method, bench.in_windows(bench.recipe(method, compiled=compiled), watched))
    for row in rows:
        print(row, flush=True)
    return rows, kernel_rows(method, last.found, profiled(rival.step))


def _parts(way: str) -> tuple[str, bool]:
    """The method, and whether blocks are compiled."""
    method, _, blocks = way.partition("-")
    return method, blocks == "compiled"


def _tried(run: Callable[[], Found]) -> Found | None:
    """None where it failed: the others are still worth their time. Nothing of the run before is left."""
    gc.collect()
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    try:
        return run()
    except (Exception, SystemExit):  # noqa: BLE001  # whatever it was
        traceback.print_exc()
        return None


def busy(bench: Bench, ways: Sequence[str], minute: float) -> Tables:
    """How busy the GPU is in LoRA over a minute of later epochs and a part of the first, and where the host is."""
    method, compiled = _parts(ways[0])
    recipe = bench.recipe(method, compiled=compiled)
    plan = Plan(1, 1, min(FIRST_EPOCH_S, minute), 1.0, places=True)
    table, places = list[Row](), list[Row]()
    watched = Windows(plan, bench.batch, bench.device, later_seconds=minute)
    for window in _tried(partial(bench.in_windows, recipe, watched)) or []:
        timed, epoch = window.ours, window.epoch
        about: Row = {"training": way_of(method, compiled), "epoch": epoch}
        hours = EPOCH * EPOCHS / timed.images_per_s / 3600
        table.append(
            about
            | {"images/s": timed.images_per_s, "GPU busy (goal 0.9)": timed.busy, "peak GiB": timed.peak_gib}
            | {f"hours for {EPOCHS} x {EPOCH:,} pictures, extrapolated": hours}
        )
        places += [about | place for place in timed.places if float(place["share"] or 0) >= SMALLEST_SHARE]
    return {"busy": table, "host": places}


def way_of(method: str, compiled: bool) -> str:
    """As `--ways` has it."""
    return f"{method}-{'compiled' if compiled else 'eager'}"


def pipeline(bench: Bench) -> Tables:
    """Loading and augmenting alone."""
    side = 2 * network("tiny", torch.device("cpu")).input_size if bench.size == "tiny" else 448
    how, some = Loading(batch=bench.batch, canvas=side), bench.examples[: 24 * bench.batch]
    workers = pool_workers(bench.workers, bench.device) or 1
    rows = loading_rows(some, how, bench.device, bench.folder / "caches", workers)
    return {"pipeline": rows + augmenting_rows(side, bench.device)}


def head(bench: Bench) -> Tables:
    """The head alone, ours from kept features."""
    rival = _tried(lambda: bench.rival("head", compiled=False).window(bench.seconds, 1.0))
    ours = _tried(partial(bench.ours, "head", compiled=False))
    times = ours.images_per_s / rival.images_per_s if ours and rival else None
    return {
        "head": [
            {"loop": name, "images/s": one.images_per_s, "times timm's": times, "peak GiB": one.peak_gib}
            for name, one in (("ours", ours), ("timm's", rival))
            if one is not None
        ]
    }


def steps(bench: Bench, ways: Sequence[str]) -> Tables:
    """timm's step alone, with the batch on the device: what the host takes of it."""
    table: list[Row] = []
    for way in ways:
        method, compiled = _parts(way)
        timed = _tried(lambda: bench.rival(method, compiled=compiled, ready=True).window(bench.seconds))  # noqa: B023
        if timed is not None:
            step = 1e3 * bench.batch / timed.images_per_s
            row: Row = {"training": method, "blocks": way.partition("-")[2], "batch": bench.batch}
            row |= {"images/s": timed.images_per_s, "ms a step": step, "of them the host launches": step * timed.host}
            table.append(row | {"peak GiB": timed.peak_gib})
    return {"steps": table}


def memory(bench: Bench) -> Tables:
    """LoRA at batch 32, and how long the whole recipe takes."""
    table: list[Row] = []
    for name, options in (("with checkpointing", {"checkpointing": True}), ("without", {})):
        timed = _tried(lambda: bench.ours("lora", compiled=True, batch=min(32, bench.batch), **options))  # noqa: B023
        if timed is None:
            continue
        hours = EPOCH * EPOCHS / timed.images_per_s / 3600
        row: Row = {
            "LoRA at batch 32": name,
            "images/s": timed.images_per_s,
            "peak GiB (goal 16)": timed.peak_gib,
            f"hours for {EPOCHS} x {EPOCH:,} pictures, extrapolated (goal 2)": hours,
        }
        table.append(row)
        print(row, flush=True)
    return {"memory": table}


TITLES = {
    "speed": "Training a ViT-L at 224 pixels, ours and timm's taking turns (goal: 1.2 times timm's)",
    "kernels": "What the GPU does in a step of a ViT-L at 224 pixels, milliseconds",
    "busy": "LoRA of a ViT-L at 224 pixels over a minute",
    "host": "Where the host is in our training",
    "pipeline": "Feeding a training: images/s (goal of augmenting: 20,000)",
    "head": "Training the head of a ViT-L at 224 pixels",
    "steps": "A step of timm's ViT-L at 224 pixels, its batch ready",
    "memory": "LoRA of a ViT-L at 224 pixels",
}
PARTS = ("pipeline", "busy", "speed", "head", "steps", "memory")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--ways", nargs="+", default=["lora-compiled", "full-compiled"])
    parser.add_argument("--size", default="large", choices=("large", "base", "small", "tiny"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2.5, help="of a window")
    parser.add_argument("--settle", type=float, default=0.8, help="before a window, when the clock stands still")
    parser.add_argument("--windows", type=int, nargs=2, default=(3, 4), help="in the first epoch, and in later ones")
    parser.add_argument("--minute", type=float, default=60.0)
    parser.add_argument("--pictures", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=-1, help="run.workers of ours")
    parser.add_argument("--folder", type=Path, help="where the pictures are, or are to be kept")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench, where = Bench(folder, given), machine()
        print(f"{len(bench.examples):,} pictures", flush=True)
        plan = Plan(given.windows[0], given.windows[1], given.seconds, given.settle)
        parts: dict[str, Callable[[], Tables]] = {
            "pipeline": partial(pipeline, bench),
            "busy": partial(busy, bench, given.ways, given.minute),
            "speed": partial(speed, bench, given.ways, plan),
            "head": partial(head, bench),
            "steps": partial(steps, bench, given.ways),
            "memory": partial(memory, bench),
        }
        for part in given.part:
            for name, rows in parts[part]().items():
                if rows:
                    report(f"training-{name}", TITLES[name], rows, where, given.out)


if __name__ == "__main__":
    main()
