"""Processes that decode: the same pictures as threads give, and none left over however a training ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from streetvision.training import decode_pool
from streetvision.training.canvas_memory import CanvasMemory
from streetvision.training.decode_pool import DecodePool, pool_workers
from streetvision.training.loading import Loader, Loading

from .test_loading import SIDE, examples, numbers

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="processes decode on Linux alone")
HOW = Loading(batch=4, canvas=SIDE, threads=1, ahead=2)
SCRIPT = """
import sys, time
from pathlib import Path
from streetvision.training.decode_pool import DecodePool
print("main", flush=True)
pool = DecodePool(1, 2, 16, areas=1, tell=print)
pool.decode(pool.take(), [(0, Path(sys.argv[1]))])[0].result()
print(*pool._processes._processes, flush=True)
time.sleep(600)
"""
"""Without a guard: whoever ran it once more would begin anew."""


@contextmanager
def pool_of(workers: int, told: list[str] | None = None) -> Iterator[DecodePool]:
    tell = print if told is None else told.append
    pool = DecodePool(workers, HOW.batch, SIDE, areas=2 * (HOW.ahead + 1), tell=tell)
    try:
        yield pool
    finally:
        pool.close()


def test_processes_give_what_threads_give(tmp_path: Path) -> None:
    known = examples(tmp_path)
    known[4].path.write_bytes(known[4].path.read_bytes()[:60])
    known[5].path.unlink()
    threaded = Loader(known, HOW)
    expected = [raw for _ in range(2) for raw in threaded]
    with pool_of(2) as pool:
        loader = Loader(known, HOW, pool=pool)
        stopped = iter(loader)
        next(stopped)
        stopped.close()  # type: ignore[attr-defined]  # a generator
        loader.position = (0, 0)
        found = [raw for _ in range(2) for raw in loader]
        kept = CanvasMemory(len(known), SIDE, max_bytes=10**6)
        keeping = Loader(known, HOW, pool=pool, cache=kept)
        first = [raw for _ in range(2) for raw in keeping]
    for one, other, third in zip(expected, found, first, strict=True):
        for field in ("images", "sizes", "labels", "weights", "indices"):
            assert torch.equal(getattr(one, field), getattr(other, field))
            assert torch.equal(getattr(one, field), getattr(third, field))
    assert loader.unreadable == threaded.unreadable


def test_what_is_kept_is_decoded_once(tmp_path: Path) -> None:
    known = examples(tmp_path)
    kept = CanvasMemory(len(known), SIDE, max_bytes=10**6)
    with pool_of(1) as pool:
        loader = Loader(known, HOW, pool=pool, cache=kept)
        seen = {number for batch in numbers(list(loader)) for number in batch}
        for one in known:
            one.path.unlink()
        assert {number for batch in numbers(list(loader)) for number in batch} == seen
    assert not loader.unreadable


def test_a_process_that_dies_costs_speed_and_no_picture(tmp_path: Path) -> None:
    known = examples(tmp_path)
    expected = numbers(list(Loader(known, HOW)))
    told: list[str] = []
    with pool_of(1, told) as pool:
        loader = iter(Loader(known, HOW, pool=pool))
        found = [next(loader)]
        for process in list(pool._processes._processes):
            os.kill(process, signal.SIGKILL)
        assert numbers([*found, *loader]) == expected
        assert numbers(list(Loader(known, HOW, pool=pool))) == expected
    assert [why.partition(",")[0] for why in told] == ["a process that decodes pictures was ended"]


def test_nobody_is_left_when_the_training_is_killed(tmp_path: Path) -> None:
    (picture, *_) = examples(tmp_path, 1)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen([sys.executable, script, picture.path], stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None
        assert training.stdout.readline() == "main\n"
        workers = [int(number) for number in training.stdout.readline().split()]
        for worker in workers:
            os.kill(worker, signal.SIGINT)
        time.sleep(0.2)
        assert all(Path(f"/proc/{worker}").exists() for worker in workers), "Ctrl-C is the training's to heed"
        training.kill()
    assert workers
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("wanted", "device", "cores", "processes"),
    [(-1, "cuda", 16, 14), (-1, "cuda", 4, 0), (-1, "cpu", 16, 0), (2, "cpu", 1, 2), (0, "cuda", 16, 0)],
)
def test_how_many(monkeypatch: pytest.MonkeyPatch, wanted: int, device: str, cores: int, processes: int) -> None:
    monkeypatch.setattr(decode_pool, "usable_threads", lambda: cores)
    assert pool_workers(wanted, torch.device(device)) == processes
