"""From the start of a process to an engine that is ready: a checkpoint on disk, all buckets, caches cold and warm.

Each start is a process of its own with the caches of Inductor and Triton in a folder of the benchmark's: empty for the
cold start, left by it for the warm ones. Python's compiled modules are there in both, as an installer leaves them: a
first start that is not counted writes them, for a machine whose packages lack them. On CUDA a ViT-L with random weights
(goal: warm under 15 s), once with the forward that serves and once with timm's compiled one.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from harness import RESULTS, Row, machine, report
from runner import WIDTHS, description

from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build

FORWARDS = ("served", "timm")
PATIENCE_S = 900.0


async def start_once(folder: Path, device: str, forward: str, spawned: float) -> dict[str, float]:
    """In the child: seconds since the process was spawned, at each stage."""
    from PIL import Image

    from streetvision.engine.engine import Engine
    from streetvision.runner.torch_runner import TorchRunner

    at = {"imported": time.time() - spawned}
    runner = TorchRunner(folder, device=device, fast=False if forward == "timm" else None)
    at["loaded"] = time.time() - spawned
    engine = Engine(runner)
    await engine.start()
    at["ready"] = time.time() - spawned
    photo = io.BytesIO()
    Image.new("RGB", (320, 240), (90, 100, 110)).save(photo, "JPEG")
    await engine.predict(photo.getvalue(), deadline=time.monotonic() + 60, priority=0.0)
    at["answered"] = time.time() - spawned
    await engine.close()
    return at


def spawn(folder: Path, modules: Path, caches: Path, arguments: argparse.Namespace, forward: str) -> dict[str, float]:
    """Start a process and read what it measured."""
    places = {
        "PYTHONPYCACHEPREFIX": str(modules),
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
        "TRITON_CACHE_DIR": str(caches / "triton"),
    }
    child = [sys.executable, __file__, "--child", str(folder), "--device", arguments.device, "--forwards", forward]
    spawned = {"STARTUP_SPAWNED": repr(time.time())}
    done = subprocess.run(
        child, env=os.environ | places | spawned, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    if done.returncode:
        raise SystemExit(f"A start failed:\n{done.stderr[-3000:]}")
    at: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return at


def measure(folder: Path, arguments: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    modules = folder.parent / "modules"
    with tempfile.TemporaryDirectory(prefix="caches-") as caches:
        spawn(folder, modules, Path(caches), arguments, arguments.forwards[0])
    for forward in arguments.forwards:
        with tempfile.TemporaryDirectory(prefix="caches-") as caches:
            for number in range(1 + arguments.warm):
                at = spawn(folder, modules, Path(caches), arguments, forward)
                row: Row = {"model": arguments.size, "forward": forward, "cache": "warm" if number else "cold"}
                rows.append(row | {f"{stage} s": seconds for stage, seconds in at.items()})
                print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["tiny", *WIDTHS], default="large" if torch.cuda.is_available() else "tiny")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--forwards", nargs="+", choices=FORWARDS, default=FORWARDS)
    parser.add_argument("--warm", type=int, default=2, help="warm starts after the cold one")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for startup.json")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        spawned = float(os.environ["STARTUP_SPAWNED"])
        at = asyncio.run(start_once(arguments.child, arguments.device, arguments.forwards[0], spawned))
        print(json.dumps(at))
        return
    where = machine()
    config = description(arguments.size)
    with tempfile.TemporaryDirectory(prefix="checkpoint-") as scratch:
        folder = Path(scratch) / "model"
        save_checkpoint(folder, config, build(config).state_dict(), dtype=torch.float16)
        rows = measure(folder, arguments)
    report(
        "startup", "From the start of a process to ready (seconds since it was spawned)", rows, where, arguments.results
    )


if __name__ == "__main__":
    main()
