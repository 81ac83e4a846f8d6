"""Two GPUs against one: LoRA of a ViT-L at 224 pixels from JPEGs on disk, images/s and the curve of the loss.

Two GPUs see the same pictures in each step as one does at twice the batch, so the two curves may differ by what is
drawn in augmenting alone; how much that is, a second run of one GPU with another seed says.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import RESULTS, Row, machine, report
from training_ours import recipe_for, time_ours
from training_pictures import known_pictures, make_pictures
from training_timed import WARM

from streetvision.base.resources import usable_threads

Plan = tuple[str, int, str, int]
"""Name, batch on each GPU, GPUs, seed."""
Found = dict[str, Any]
ALONE, CURVE = "one", "one, twice the batch"


def work(given: argparse.Namespace) -> None:
    """One process of a training."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    options = {"devices": world, "strategy": "ddp" if world > 1 else "auto", "seed": given.seed}
    recipe = recipe_for(given.method, given.batch, compile=not given.eager, **options)
    timed = time_ours(recipe, given.size, known_pictures(given.folder) * 16, given.seconds)
    if os.environ.get("RANK", "0") == "0":
        found = {"images_per_s": timed.images_per_s, "busy": timed.busy, "losses": timed.losses}
        given.result.write_text(json.dumps(found))


def start(given: argparse.Namespace, folder: Path, plan: Plan) -> subprocess.Popen[bytes]:
    """A training in processes of its own."""
    name, batch, gpus, seed = plan
    count = len(gpus.split(","))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    command += [f"--nproc_per_node={count}", __file__]
    command += ["--folder", str(folder), "--result", str(folder / f"{name}.json"), "--batch", str(batch)]
    command += ["--size", given.size, "--seconds", str(given.seconds), "--seed", str(seed), "--method", given.method]
    command += ["--eager"] if given.eager else []
    return subprocess.Popen(command, env={**os.environ, "CUDA_VISIBLE_DEVICES": gpus, "OMP_NUM_THREADS": "1"})


def rows(folder: Path, batch: int) -> list[Row]:
    """Each training that came to its end beside the one of a single GPU."""
    paths = {plan: folder / f"{plan[0]}.json" for plan in _plans(batch)}
    found: dict[Plan, Found] = {plan: json.loads(path.read_text()) for plan, path in paths.items() if path.exists()}
    by_name = {plan[0]: one for plan, one in found.items()}
    alone, curve = by_name.get(ALONE), by_name.get(CURVE)
    table: list[Row] = []
    for (name, each, gpus, seed), one in found.items():
        apart = None if name == ALONE or curve is None else _gap(one["losses"], curve["losses"])
        row: Row = {"GPUs": len(gpus.split(",")), "batch on each": each, "seed": seed, "images/s": one["images_per_s"]}
        row["times one (goal 1.8)"] = one["images_per_s"] / alone["images_per_s"] if alone else None
        table.append(row | {"GPU busy": one["busy"], "distance of its loss from one GPU's": apart})
    return table


def _gap(mine: list[float], other: list[float]) -> float:
    """Mean distance of two curves after the first steps, each smoothed over ten."""
    count = min(len(mine), len(other))
    kernel = np.full(10, 0.1)
    smooth = [np.convolve(one[:count], kernel, mode="valid")[WARM:] for one in (mine, other)]
    return float(np.abs(smooth[0] - smooth[1]).mean()) if len(smooth[0]) else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="large")
    parser.add_argument("--method", default="lora")
    parser.add_argument(
        "--eager", action="store_true", help="compile no blocks: sooner done, each step a little slower"
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=2048)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--result", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.result:
        work(given)
        return
    where = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pictures(folder, given.pictures, usable_threads())
        alone, both, curve, noise = _plans(given.batch)
        begun = time.monotonic()
        for together in ([alone], [both], [curve, noise]):
            for process in [start(given, folder, one) for one in together]:
                process.wait()
            print(f"{', '.join(one[0] for one in together)}: ended at {time.monotonic() - begun:.0f} s", flush=True)
            # After every training: a run that is cut short has lost little.
            _tell(given, where | {"gpus": torch.cuda.device_count()}, rows(folder, given.batch))


def _tell(given: argparse.Namespace, where: dict[str, str | int | float], table: list[Row]) -> None:
    title = f"{'LoRA' if given.method == 'lora' else 'Full training'} of a ViT-L at 224 pixels on two GPUs"
    if table:
        report(f"two_gpus-{given.method}", f"{title}{', eager' if given.eager else ''}", table, where, given.out)


def _plans(batch: int) -> list[Plan]:
    """One GPU and two, each alone on the machine; then the curve of one GPU beside the same with another seed."""
    return [
        (ALONE, batch, "0", 0),
        ("two", batch, "0,1", 0),
        (CURVE, 2 * batch, "0", 0),
        ("another seed", 2 * batch, "1", 1),
    ]


if __name__ == "__main__":
    main()
