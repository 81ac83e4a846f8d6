"""Feeding a training: images/s of loading by itself, pictures seen first and again, and of augmenting."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from harness import Row
from training_timed import wait

from streetvision.sources.dataset import Example
from streetvision.training.augmenting import Augmentation, GpuAugment
from streetvision.training.batch import RawBatch
from streetvision.training.canvas_cache import CanvasCache
from streetvision.training.canvas_memory import CanvasMemory
from streetvision.training.decode_pool import DecodePool
from streetvision.training.loading import Loader, Loading


def loading_rows(
    examples: Sequence[Example], how: Loading, device: torch.device, folder: Path, workers: int
) -> list[Row]:
    """Every way to load; each loads a little first, so that threads, processes and memory are there."""
    table: list[Row] = []

    def measure(what: str, loader: Loader) -> None:
        rate, host = _loaded(loader)
        table.append({"what": f"loading, {what}", "images/s": rate, "processor ms of this process a picture": host})
        print(table[-1], flush=True)

    room = len(examples) * 3 * how.canvas**2
    if device.type == "cuda":
        measure("JPEGs decoded by the GPU", _begun(Loader(examples, replace(how, decoder="gpu"), device=device)))
    measure("decoded by threads", _begun(Loader(examples, how, device=device)))
    with _pool(how, workers) as pool:
        measure(f"decoded by {workers} processes", _begun(Loader(examples, how, device=device, pool=pool)))
        with closing(CanvasMemory(len(examples), how.canvas, max_bytes=room)) as memory:
            loader = Loader(examples, how, device=device, pool=pool, cache=memory)
            measure("decoded by processes and kept in memory", loader)
            measure("kept in memory", loader)
        with CanvasCache(folder / "cache", examples, how.canvas, max_bytes=2 * room) as disk:
            loader = Loader(examples, how, device=device, pool=pool, cache=disk)
            measure("decoded by processes and kept on disk", loader)
            measure("kept on disk", loader)
    return table


@contextmanager
def _pool(how: Loading, workers: int) -> Iterator[DecodePool]:
    with ExitStack() as stack:
        pool = DecodePool(workers, how.batch, how.canvas, areas=2 * (how.ahead + 1), tell=print)
        stack.callback(pool.close)
        yield pool


def _begun(loader: Loader) -> Loader:
    """After a few batches, back at its start."""
    batches = iter(loader)
    for _ in range(3):
        next(batches, None)
    batches.close()  # type: ignore[attr-defined]  # a generator
    loader.position = (0, 0)
    return loader


def _loaded(loader: Loader) -> tuple[float, float]:
    """Images/s of an epoch, and milliseconds of this process's processor time for each."""
    begun, spent = time.monotonic(), time.process_time()
    count = sum(len(raw) for raw in loader)
    wait(loader.device)
    return count / (time.monotonic() - begun), 1e3 * (time.process_time() - spent) / count


def augmenting_rows(side: int, device: torch.device) -> list[Row]:
    """Augmenting alone, by how many pictures are degraded as validators do."""
    return [
        {
            "what": f"augmenting to 224, {share:.0%} as validators do",
            "images/s": _augmented(share, side, device),
            "processor ms of this process a picture": None,
        }
        for share in (0.0, 0.5, 1.0)
    ]


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
