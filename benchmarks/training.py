"""Training a ViT-L at 224 pixels from JPEGs on disk, against timm's own training on the same files in the same run.

`--part speed`: images/s of the whole loop, head alone (from kept features), LoRA and every weight, eager and compiled;
the rival also with a batch that is on the GPU already, so that its loader is out of the account; a LoRA run of a minute
says how busy the GPU is. `--part pipeline`: loading and augmenting alone. `--part steps`: timm's step alone.
`--part host`: where our host's time goes. `--part memory`: LoRA at batch 32.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from harness import RESULTS, Row, machine, report
from training_ours import Timed, network, recipe_for, time_ours, wait
from training_pictures import make_pictures
from training_rival import ready_batches, rival_loader, rival_model, time_rival

from streetvision.base.resources import usable_threads
from streetvision.sources.dataset import Example
from streetvision.training.augmenting import Augmentation, GpuAugment
from streetvision.training.batch import RawBatch
from streetvision.training.canvas_cache import CanvasCache
from streetvision.training.loading import Loader, Loading

EPOCH = 35_000
"""Pictures of the set that times are extrapolated to."""
EPOCHS = 6
"""Of the recipe `lora`."""
REPEATS = 16
"""Times that a small set comes in an epoch of either loop, so that epochs are as long as a real one's."""
SMALLEST_SHARE = 0.02
"""Of the host's time that is worth a row."""
HEAD = 1024
"""Pictures whose features are kept for the head; making them is not timed."""


class Bench:
    """What every measurement needs."""

    def __init__(self, folder: Path, size: str, batch: int, seconds: float) -> None:
        self.folder, self.size, self.batch, self.seconds = folder, size, batch, seconds
        self.device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
        self.examples: list[Example] = []

    def make(self, count: int) -> None:
        """The pictures."""
        self.examples = make_pictures(self.folder, count, usable_threads()) * REPEATS

    def ours(self, method: str, *, compiled: bool, seconds: float | None = None, **run: object) -> Timed:
        """One of our trainings."""
        recipe = recipe_for(method, int(str(run.pop("batch", self.batch))), compile=compiled, **run)
        examples = self.examples[:HEAD] if method == "head" else self.examples
        return time_ours(recipe, self.size, examples, seconds or self.seconds)

    def rival(self, method: str, *, compiled: bool, ready: bool = False) -> Timed:
        """One of timm's."""
        model = rival_model(self.size, method, self.device, compiled=compiled)
        if ready:
            loader = ready_batches(self.size, self.batch, self.device)
        else:
            loader = rival_loader(self.folder, REPEATS, self.size, self.batch, usable_threads(), self.device)
        return time_rival(model, loader, self.batch, self.seconds, self.device)


WAYS = ("lora-compiled", "full-compiled", "head-eager", "lora-eager", "full-eager")


def speed(bench: Bench, ways: Sequence[str], minute: float) -> list[Row]:
    """Rows of the whole loops."""
    table: list[Row] = []
    for way in ways:
        method, compiled = way.partition("-")[0], way.endswith("compiled")
        runs: dict[str, Callable[[], Timed]] = {
            "timm's": partial(bench.rival, method, compiled=compiled),
            "timm's, batch ready": partial(bench.rival, method, compiled=compiled, ready=True),
            "ours": partial(bench.ours, method, compiled=compiled),
        }
        if way == WAYS[0]:
            runs[f"ours, {minute:g} s"] = partial(bench.ours, method, compiled=compiled, seconds=minute)
        table += _rows(runs, method, compiled)
    return table


def _rows(runs: dict[str, Callable[[], Timed]], method: str, compiled: bool) -> list[Row]:
    table: list[Row] = []
    rates: dict[str, float] = {}
    for name, run in runs.items():
        timed = _tried(run)
        if timed is None:
            continue
        rates[name] = timed.images_per_s
        rival = rates.get("timm's")
        row: Row = {
            "training": method,
            "blocks": "compiled" if compiled else "eager",
            "loop": name,
            "images/s": timed.images_per_s,
            "times timm's": timed.images_per_s / rival if rival else None,
            "GPU busy": timed.busy,
            "peak GiB": timed.peak_gib,
        }
        table.append(row)
        print(row, flush=True)
    return table


def _tried(run: Callable[[], Timed]) -> Timed | None:
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


def steps(bench: Bench, ways: Sequence[str]) -> list[Row]:
    """timm's step alone, with the batch on the device: what the host takes of it."""
    table: list[Row] = []
    for way in ways:
        method, _, blocks = way.partition("-")
        timed = _tried(partial(bench.rival, method, compiled=blocks == "compiled", ready=True))
        if timed is not None:
            step = 1e3 * bench.batch / timed.images_per_s
            row: Row = {"training": method, "blocks": blocks, "batch": bench.batch, "images/s": timed.images_per_s}
            row |= {"ms a step": step, "of them the host launches": step * timed.host, "peak GiB": timed.peak_gib}
            table.append(row)
    return table


def pipeline(bench: Bench) -> list[Row]:
    """Loading and augmenting alone."""
    side = 2 * network("tiny", torch.device("cpu")).input_size if bench.size == "tiny" else 448
    how = Loading(batch=bench.batch, canvas=side)
    some = bench.examples[: 40 * bench.batch]
    by_gpu = Loader(some, replace(how, decoder="gpu"), device=bench.device)
    table: list[Row] = [
        {"what": "loading, JPEGs decoded by the GPU", "images/s": _loaded(by_gpu)},
        {"what": "loading, decoded by the processor", "images/s": _loaded(Loader(some, how, device=bench.device))},
    ]
    with CanvasCache(bench.folder / "cache", some, side, max_bytes=10**11) as cache:
        for name in ("loading, decoded by the processor and kept", "loading, kept canvases"):
            table.append({"what": name, "images/s": _loaded(Loader(some, how, device=bench.device, cache=cache))})
    for share in (0.0, 0.5, 1.0):
        name = f"augmenting to 224, {share:.0%} as validators do"
        table.append({"what": name, "images/s": _augmented(share, side, bench.device)})
    return table


def _loaded(loader: Loader) -> float:
    begun = time.monotonic()
    count = sum(len(raw) for raw in loader)
    wait(loader.device)
    return count / (time.monotonic() - begun)


def _augmented(share: float, side: int, device: torch.device, count: int = 256, runs: int = 40) -> float:
    count, runs = (count, runs) if device.type == "cuda" else (4, 1)
    augment, generator = GpuAugment(Augmentation(size=224, validators=share)), torch.Generator(device)
    images = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, device=device)
    sizes = torch.tensor([[1280, 720]], dtype=torch.int32, device=device).repeat(count, 1)
    ones = torch.ones(count, device=device)
    raw = RawBatch(images, sizes, ones, ones, torch.zeros(count, dtype=torch.int64, device=device))
    for step in range(3):
        augment(raw, generator.manual_seed(step))
    wait(device)
    begun = time.monotonic()
    for step in range(runs):
        augment(raw, generator.manual_seed(step))
    wait(device)
    return runs * count / (time.monotonic() - begun)


def memory(bench: Bench) -> list[Row]:
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
    return table


def host(bench: Bench, ways: Sequence[str]) -> list[Row]:
    """Where the host is in our training: a GPU that is not busy waits for one of these."""
    table: list[Row] = []
    for way in ways:
        method, _, blocks = way.partition("-")
        for decoder in ("gpu", "cpu"):
            timed = _tried(partial(bench.ours, method, compiled=blocks == "compiled", decoder=decoder))
            if timed is None:
                continue
            about: Row = {"training": way, "decoder": decoder, "images/s": timed.images_per_s, "GPU busy": timed.busy}
            table += [about | place for place in timed.places if float(place["share"] or 0) >= SMALLEST_SHARE]
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs="+", default=["pipeline", "steps", "memory", "speed"])
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--size", default="large", choices=("large", "base", "small", "tiny"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--minute", type=float, default=60.0)
    parser.add_argument("--pictures", type=int, default=2048)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    where = machine()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.size, given.batch, given.seconds)
        bench.make(given.pictures)
        print(f"{len(bench.examples):,} pictures", flush=True)
        parts: dict[str, tuple[str, Callable[[], list[Row]]]] = {
            "pipeline": ("Feeding a training: images/s (goal of augmenting: 20,000)", lambda: pipeline(bench)),
            "steps": ("A step of timm's ViT-L at 224 pixels, its batch ready", lambda: steps(bench, given.ways)),
            "memory": ("LoRA of a ViT-L at 224 pixels", lambda: memory(bench)),
            "host": ("Where the host's time goes in our training", lambda: host(bench, given.ways)),
            "speed": (
                "Training a ViT-L at 224 pixels (goal: 1.2 times timm's)",
                lambda: speed(bench, given.ways, given.minute),
            ),
        }
        for part in given.part:
            title, measure = parts[part]
            rows = measure()
            if rows:
                report(f"training-{part}", title, rows, where, given.out)


if __name__ == "__main__":
    main()
