"""What a dataset costs: checking and storing pictures, and finding near duplicates among very many.

python benchmarks/data.py
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from harness import Row, machine, report
from PIL import Image

from streetvision.scenes.photographic import encode_jpeg
from streetvision.scenes.scenes import render_scene
from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.near_duplicates import near_fingerprints
from streetvision.sources.opening import open_dataset
from streetvision.sources.source import Amount, Item, SourcePicture
from streetvision.sources.splitting import Shares
from streetvision.sources.store import DatasetStore, writing


class Repeated:
    """One picture so many times, each with other metadata, so that every one is decoded and stored."""

    name, grows = "repeated", False

    def __init__(self, jpeg: bytes, count: int) -> None:
        self._jpeg, self._count = jpeg, count

    def amount(self, after: str | None = None) -> Amount:
        """All of them."""
        return Amount(self._count)

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        """By number."""
        for number in range(self._count):
            comment = f"{number:08d}".encode()
            data = self._jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + self._jpeg[2:]
            yield SourcePicture(f"{number:08d}", data, number % 5 == 0, f"{number}", "MIT")


def adding(size: tuple[int, int], count: int) -> Row:
    """Pictures a second from bytes in memory to rows and files on the disk."""
    jpeg = encode_jpeg(Image.fromarray(render_scene(7, size=size).image), 90)
    with tempfile.TemporaryDirectory() as folder, writing(Path(folder) / "d") as store:
        seconds = _timed(lambda: add(Repeated(jpeg, count), store))
    return _row(f"add {size[0]}x{size[1]}, {len(jpeg) / 1e3:,.0f} kB", count, seconds)


def arranging(count: int) -> list[Row]:
    """Rows as many pictures would give, without their files: split, then opened to train."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as state:
        with writing(Path(state) / "datasets" / "d") as store:
            _fill(store, rng.integers(0, 2**63, count, np.int64).tolist(), rng.integers(0, count // 8, count).tolist())
            split = _timed(lambda: arrange(store, Shares()))
        opened = _timed(lambda: open_dataset("d", state=Path(state)).fingerprint)
    return [_row("near duplicates, groups and splits", count, split), _row("open, with the fingerprint", count, opened)]


def comparing(count: int) -> Row:
    """All pairs of fingerprints, one in ten of which has a near twin."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**64, count, np.uint64)
    twins = values[: count // 10] ^ (np.uint64(1) << rng.integers(0, 64, count // 10, np.uint64))
    values[-len(twins) :] = twins
    found = 0

    def compare() -> None:
        nonlocal found
        found = sum(1 for _ in near_fingerprints(values))

    seconds = _timed(compare)
    assert found >= count // 10
    return _row("compare fingerprints, all pairs", count, seconds)


def _fill(store: DatasetStore, fingerprints: Sequence[int], groups: Sequence[int]) -> None:
    store.reading("filled")
    names = [f"{number:064x}" for number in range(len(fingerprints))]
    store.db.execute("BEGIN")
    store.db.executemany(
        "INSERT INTO pictures (sha256, file, size_bytes, width, height, fingerprint) VALUES (?, 'f', 1, 1, 1, ?)",
        [(name, int(value)) for name, value in zip(names, fingerprints, strict=True)],
    )
    store.db.executemany(
        "INSERT INTO occurrences VALUES (1, ?, ?, ?, ?, 'MIT', '', 'human', 1.0, '{}')",
        [(name, name, i % 5 == 0, f"drive{groups[i]}") for i, name in enumerate(names)],
    )
    store.db.execute("COMMIT")


def _row(what: str, count: int, seconds: float) -> Row:
    return {"what": what, "count": count, "seconds": seconds, "per_second": count / seconds}


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and report."""
    where = machine()
    rows = [adding((640, 480), 1000), adding((1920, 1080), 300), adding((4032, 3024), 60)]
    rows += [comparing(10_000), comparing(100_000), *arranging(10_000), *arranging(100_000)]
    where["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    report("data", "A dataset: pictures checked and stored, near duplicates found, splits made", rows, where)


if __name__ == "__main__":
    main()
