"""Does mining pay once the whole network learns? Fine-tuned on k mined, uncertain or random pictures of a new stream.

As benchmarks/mining_pays.py, whose streams and ways of picking it takes, but without a frozen backbone: the bundled
model, every weight of it, is fine-tuned on the first pictures; that network answers the stream and its answers are
mined; then the bundled model is fine-tuned anew on the first pictures together with the picks. Random picks are
averaged over DRAWS draws. Three stages, since no machine has it all: `draw` (many cores), `pick` (extra `mining`),
`train` (a GPU).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import RESULTS, Row, machine, report
from numpy.typing import NDArray
from PIL import Image
from shifted_stream import FIRST_SCENE, SHIFTED, as_shown, jobs, picture

from streetvision.base.process_pool import map_on_cores
from streetvision.base.resources import usable_threads
from streetvision.models.checkpoint import load_checkpoint
from streetvision.models.folder import bundled_checkpoint
from streetvision.models.network import build
from streetvision.training.augmenting import scaled
from streetvision.training.batch import Batch
from streetvision.training.module import TrainingModule
from streetvision.training.order import epoch_order
from streetvision.training.recipe import LossRecipe, OptimiserRecipe, Recipe, TuneRecipe

SEEDS = (0, 1, 2, 3, 4)
BUDGETS = (40, 80, 160)
SIZES = (100, 360, 240)
"""Pictures of the start, of the stream and of the test."""
DRAWS = 3
EPOCHS = 8
BATCH = 32
WAYS = ("mined", "uncertain", "random")
RECIPE = Recipe(
    tune=TuneRecipe(method="full", layer_decay=0.75),
    loss=LossRecipe(label_smoothing=0.02),
    optimiser=OptimiserRecipe(lr=2e-4, weight_decay=0.05, warmup=0.1),
)
"""That of the recipe `full` with less label smoothing; nothing was tuned."""
PARTS = ("start", "stream", "test")

Pixels = NDArray[np.uint8]
Labels = NDArray[np.bool_]
Stored = NDArray[Any]
Job = tuple[int, str, int, int]
"""Seed, way of picking, which draw of it, how many picks."""
Picks = dict[str, list[list[int]]]
PICKS = "picks.json"


@dataclass(frozen=True)
class Part:
    """Pictures uint8 [N, S, S, 3] with their labels [N]."""

    pixels: Pixels
    labels: Labels


@dataclass(frozen=True)
class Trial:
    """One seed's pictures, and what each way picks."""

    parts: dict[str, Part]
    """By the names of PARTS."""
    picks: Picks
    """Which of the stream, in the order of picking; several draws of random ones."""


def fine_tuned(part: Part, seed: int, device: torch.device) -> TrainingModule:
    """The bundled network after EPOCHS over `part`, mirrored at random."""
    config, state = load_checkpoint(bundled_checkpoint())
    net = build(config)
    net.load_state_dict(state)
    steps = max(1, len(part.labels) // BATCH) * EPOCHS
    module = TrainingModule(net.float().to(device), RECIPE, total_steps=steps).train()
    made: Any = module.configure_optimizers()
    optimiser, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    generator = torch.Generator().manual_seed(seed)
    pixels, labels = torch.from_numpy(part.pixels).to(device), torch.from_numpy(part.labels).to(device)
    for step in range(steps):
        order = epoch_order(part.labels, BATCH, seed=seed, epoch=step, positive_share=0.5)
        chosen = torch.from_numpy(order).to(device)
        mirrored = (torch.rand(BATCH, generator=generator) < 0.5).to(device).view(-1, 1, 1, 1)
        shown = scaled(pixels[chosen].permute(0, 3, 1, 2).float(), config.input_size)
        batch = Batch(
            torch.where(mirrored, shown.flip(3), shown), labels[chosen].float(), torch.ones(BATCH, device=device)
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = module.loss_of(batch)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(module.parameters(), RECIPE.optimiser.clip)
        optimiser.step()
        schedule.step()
    return module.eval()


@torch.inference_mode()
def answers(module: TrainingModule, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits [N] and embeddings [N, E] of pictures as they are."""
    device, logits, embeddings = next(module.parameters()).device, [], []
    for start in range(0, len(pixels), 64):
        images = torch.from_numpy(pixels[start : start + 64]).to(device)
        logit, embedding = module.net(as_shown(module.net, images))
        logits.append(logit.float().cpu().numpy())
        embeddings.append(embedding.float().cpu().numpy())
    return np.concatenate(logits), np.concatenate(embeddings)


def accuracy(part: Part, test: Part, seed: int, device: torch.device) -> float:
    """Of a network fine-tuned on `part`, on the test's pictures."""
    logits, _ = answers(fine_tuned(part, seed, device), test.pixels)
    return float(((logits > 0) == test.labels).mean())


def draw(folder: Path, seeds: Sequence[int], sizes: tuple[int, int, int], workers: int, device: torch.device) -> None:
    """All pictures, a file for each seed, and what the networks that know the start say of the streams."""
    works = [work for seed in seeds for work in _jobs(seed, sizes)]
    made = iter(list(map_on_cores(picture, [job for work in works for job in work], workers)))
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        saved: dict[str, Stored] = {}
        parts = []
        for name, size in zip(PARTS, sizes, strict=True):
            jpegs, labels = zip(*(next(made) for _ in range(size)), strict=True)
            saved[f"{name}/ends"] = np.cumsum([len(jpeg) for jpeg in jpegs])
            saved[f"{name}/jpegs"] = np.frombuffer(b"".join(jpegs), np.uint8)
            saved[f"{name}/labels"] = np.array(labels)
            parts.append(Part(_decoded(jpegs), np.array(labels)))
        saved["logits"], saved["embeddings"] = answers(fine_tuned(parts[0], seed, device), parts[1].pixels)
        np.savez(folder / f"{seed}.npz", **saved)  # type: ignore[arg-type]  # numpy's stubs: one might be allow_pickle


def _jobs(seed: int, sizes: tuple[int, int, int]) -> list[list[tuple[int, int]]]:
    rng, first = np.random.default_rng((19, seed)), FIRST_SCENE + 50_000_000 + seed * 100_000
    ranges = [part.tolist() for part in np.array_split(np.arange(first, first + 100_000), 3)]
    return [jobs(rng, *one) for one in zip(ranges, sizes, (0.0, SHIFTED, SHIFTED), strict=True)]


def pick(folder: Path) -> None:
    """Which pictures each way picks, into one small file; mining is real, database and all."""
    from mining import await_end
    from prediction_log import disk

    with disk() as scratch:
        # In a process that ends before its folder goes: mongod ends with its last client.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            picked = fresh.submit(_picked, folder, scratch).result()
        await_end(scratch / "database")
    (folder / PICKS).write_text(json.dumps(picked))


def _picked(folder: Path, scratch: Path) -> dict[int, Picks]:
    from mining_pays import Pictures, by_uncertainty, mined

    os.environ["FIFTYONE_DATABASE_DIR"] = str(scratch / "database")
    os.environ.pop("FIFTYONE_DATABASE_URI", None)
    picked: dict[int, Picks] = {}
    for path in sorted(folder.glob("*.npz")):
        seed = int(path.stem)
        with np.load(path, allow_pickle=False) as saved:
            logits = saved["logits"].astype(np.float64)
            stream = Pictures(tuple(_pieces(saved, "stream")), saved["embeddings"], logits > 0)
        most, rng = min(max(BUDGETS), len(logits)), np.random.default_rng((29, seed))
        picked[seed] = {
            "mined": [mined(scratch / f"seed{seed}", stream, logits, most)],
            "uncertain": [by_uncertainty(stream, logits, most)],
            "random": [rng.permutation(len(logits))[:most].tolist() for _ in range(DRAWS)],
        }
        print(f"seed {seed}: picked", flush=True)
    return picked


def _pieces(saved: Mapping[str, Stored], part: str) -> list[bytes]:
    data, ends = saved[f"{part}/jpegs"].tobytes(), saved[f"{part}/ends"].tolist()
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _decoded(jpegs: Sequence[bytes]) -> Pixels:
    return np.stack([np.asarray(Image.open(BytesIO(data)).convert("RGB")) for data in jpegs])


@cache
def read(folder: Path) -> dict[int, Trial]:
    """What `draw` and `pick` wrote, by seed."""
    picks = json.loads((folder / PICKS).read_text())
    trials = {}
    for seed in picks:
        with np.load(folder / f"{seed}.npz", allow_pickle=False) as saved:
            parts = {name: Part(_decoded(_pieces(saved, name)), saved[f"{name}/labels"]) for name in PARTS}
        trials[int(seed)] = Trial(parts, picks[seed])
    return trials


def _fitted(job: Job, folder: Path, device: str) -> float:
    """Accuracy of one seed, way, draw and budget."""
    seed, way, draw, k = job
    trial = read(folder)[seed]
    learnt, stream = trial.parts["start"], trial.parts["stream"]
    if k:
        chosen = trial.picks[way][draw][:k]
        pixels = np.concatenate([learnt.pixels, stream.pixels[chosen]])
        learnt = Part(pixels, np.concatenate([learnt.labels, stream.labels[chosen]]))
    return accuracy(learnt, trial.parts["test"], seed, torch.device(device))


def rows(folder: Path, device: str, workers: int) -> list[Row]:
    """Accuracies by budget, means over the seeds, with the spread of the gains from seed to seed."""
    trials = read(folder)
    works: list[Job] = [(seed, "", 0, 0) for seed in trials] + [
        (seed, way, drawn, k)
        for seed, trial in trials.items()
        for way in WAYS
        for drawn in range(len(trial.picks[way]))
        for k in BUDGETS
    ]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        results = pool.map(partial(_fitted, folder=folder, device=device), works, chunksize=2)
        found = dict(zip(works, results, strict=True))
    return [_row(found, list(trials), k) for k in BUDGETS]


def _row(found: Mapping[Job, float], seeds: Sequence[int], k: int) -> Row:
    def mean(seed: int, way: str) -> float:
        return float(np.mean([value for job, value in found.items() if (job[0], job[1], job[3]) == (seed, way, k)]))

    means = {way: np.array([mean(seed, way) for seed in seeds]) for way in WAYS}
    gains = {way: means[way] - means["random"] for way in ("mined", "uncertain")}
    row: Row = {"k": k, "before": float(np.mean([found[seed, "", 0, 0] for seed in seeds]))}
    row |= {way: float(values.mean()) for way, values in means.items()}
    for way, values in gains.items():
        row[f"{way} - random"] = float(values.mean())
        row[f"spread of {way}"] = float(values.std(ddof=1)) if len(values) > 1 else None
    return row | {"mined - random by seed": ", ".join(f"{value:+.3f}" for value in gains["mined"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("draw", "pick", "train"))
    parser.add_argument("folder", type=Path, help="what the stages hand on to each other")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--sizes", type=int, nargs=3, default=list(SIZES))
    parser.add_argument("--workers", type=int, default=usable_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.stage == "draw":
        draw(given.folder, given.seeds, tuple(given.sizes), given.workers, torch.device(given.device))
    elif given.stage == "pick":
        pick(given.folder)
    else:
        where = machine()
        title = "Accuracy on a shifted stream after fine-tuning every weight with k of its pictures, mean of the seeds"
        report("learning_curve", title, rows(given.folder, given.device, given.workers), where, given.out)


if __name__ == "__main__":
    main()
