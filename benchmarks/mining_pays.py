"""Does mining pay? Accuracy after training on k mined pictures of a shifted stream against k random ones.

A head (logistic regression on the bundled model's embeddings) starts from scenes in daylight and fair weather, hardly
degraded. Then comes a stream that is mostly dusk, night, rain and fog, at the validators' strongest level and beyond.
The stream is logged with that head's answers, imported into FiftyOne and mined as an operator would; the picked
pictures get their true labels (what they show, as a person would say), join the first ones, and a new head is trained
and judged on fresh pictures of the stream. Random picks are averaged over DRAWS draws. Each seed has scenes of its own.
Takes ten minutes; `--quick` only tries it out; `--seeds 100 101` measures others than those of the report.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from harness import RESULTS, Row, machine, report
from mining import await_end
from numpy.typing import NDArray
from PIL import Image
from prediction_log import disk
from prometheus_client import CollectorRegistry
from shifted_stream import FIRST_SCENE, SHIFTED, as_shown, jobs, picture

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.base.process_pool import map_on_cores
from streetvision.base.resources import usable_threads
from streetvision.engine.types import Prediction, Timings
from streetvision.mining.database import open_fiftyone
from streetvision.mining.dataset import create_dataset
from streetvision.mining.hard import HardOptions, mine_hard
from streetvision.mining.pictures import PictureFolder
from streetvision.mining.scores import UNCERTAINTY, uncertainty
from streetvision.mining.selection import select_balanced
from streetvision.mining.sync import sync
from streetvision.models.folder import bundled_checkpoint
from streetvision.models.network import StreetVisionNet, load
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.upkeep import Limits
from streetvision.prediction_log.write_health import LogMetrics
from streetvision.prediction_log.write_queue import WriteQueue
from streetvision.prediction_log.writer import Writer
from streetvision.sources.neighbours import EMBEDDING_DISTANCE

SEEDS = (0, 1, 2, 3, 4)
BUDGETS = (25, 50, 100, 200)
START, STREAM, TEST = 200, 1200, 800
DRAWS = 10
DECAY = 0.1
"""Of the logistic regression, per picture; the best of six for random picks, on seeds 100 and 101."""

Floats = NDArray[np.float32]
Labels = NDArray[np.bool_]


@dataclass(frozen=True)
class Pictures:
    """What a head learns from or is judged on."""

    jpegs: tuple[bytes, ...]
    embeddings: Floats
    labels: Labels

    def take(self, chosen: Sequence[int]) -> tuple[Floats, Labels]:
        """Embeddings and labels of some."""
        return self.embeddings[list(chosen)], self.labels[list(chosen)]


@torch.inference_mode()
def embed(net: StreetVisionNet, jpegs: Sequence[bytes]) -> Floats:
    """Pooled embeddings [N, D] of pictures of any one size."""
    rows = []
    for start in range(0, len(jpegs), 64):
        pixels = [np.asarray(Image.open(BytesIO(data)).convert("RGB")) for data in jpegs[start : start + 64]]
        rows.append(net(as_shown(net, torch.from_numpy(np.stack(pixels))))[1].numpy())
    return np.concatenate(rows)


def make(net: StreetVisionNet, works: Sequence[Sequence[tuple[int, int]]]) -> list[Pictures]:
    """Several sets at once: worker processes take long to start."""
    made = iter(list(map_on_cores(picture, [job for work in works for job in work], usable_threads())))
    sets = [[next(made) for _ in work] for work in works]
    return [
        Pictures(jpegs, embed(net, jpegs), np.array([label for _, label in one]))
        for one in sets
        for jpegs in [tuple(data for data, _ in one)]
    ]


class Head:
    """Logistic regression by Newton's method, over features scaled by the start's."""

    def __init__(self, start: Floats) -> None:
        self._middle, self._scale = start.mean(axis=0), start.std(axis=0) + 1e-6
        self._weights = np.zeros(start.shape[1] + 1)

    def fit(self, embeddings: Floats, labels: Labels) -> Head:
        """Learn anew from these."""
        features, targets = self._features(embeddings), labels.astype(np.float64)
        decay = DECAY * len(features) * np.ones(features.shape[1])
        decay[-1] = 1e-9
        weights = np.zeros(features.shape[1])
        for _ in range(30):
            chance = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
            slope = features.T @ (chance - targets) + decay * weights
            bend = (features * (chance * (1 - chance))[:, None]).T @ features + np.diag(decay)
            step = np.linalg.solve(bend, slope)
            weights = weights - step
            if np.abs(step).max() < 1e-8:
                break
        self._weights = weights
        return self

    def logits(self, embeddings: Floats) -> NDArray[np.float64]:
        """Above 0: works."""
        logits: NDArray[np.float64] = self._features(embeddings) @ self._weights
        return logits

    def accuracy(self, pictures: Pictures) -> float:
        """Share of right answers."""
        return float(((self.logits(pictures.embeddings) > 0) == pictures.labels).mean())

    def _features(self, embeddings: Floats) -> NDArray[np.float64]:
        scaled = (embeddings.astype(np.float64) - self._middle) / self._scale
        return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)


def write_log(folder: Path, stream: Pictures, logits: NDArray[np.float64]) -> None:
    """The stream as the miner logs it, answered by the first head."""
    write_queue = WriteQueue(len(stream.jpegs), 2**40)
    writer = Writer(folder, write_queue, LogMetrics(CollectorRegistry()), Limits(max_days=1e6))
    writer.tick()
    for number, (data, logit) in enumerate(zip(stream.jpegs, logits, strict=True)):
        chance = float(1 / (1 + np.exp(-logit)))
        times = Timings(0.0, 0.0, 0.0)
        answer = Prediction(chance, float(logit), stream.embeddings[number], "start", 1, 1, 224, 224, times)
        stages = StageTimings()
        write_queue.append(
            RequestRecord(
                Dialect.LEGACY, "5Bench", 0, 1.0, True, 200, "ok", data, answer, number + 1e9, 5.0, stages, ""
            )
        )
    writer.tick()
    writer.close()


def mined(folder: Path, stream: Pictures, logits: NDArray[np.float64], k: int) -> list[int]:
    """Positions in the stream that `mine hard` picks, in the order of picking; log, import and selection are real."""
    write_log(folder / "log", stream, logits)
    fo = open_fiftyone()
    dataset = create_dataset(fo, folder.name, folder / "log")
    pictures = PictureFolder(folder / "mining")
    with LogReader(folder / "log") as reader:
        sync(fo, dataset, reader, pictures)
    report_ = mine_hard(fo, dataset, pictures, HardOptions(k=k))
    dataset.delete()
    place = {hashlib.sha256(data).hexdigest(): i for i, data in enumerate(stream.jpegs)}
    return [place[pick.sha256] for pick in report_.picks]


def by_uncertainty(stream: Pictures, logits: NDArray[np.float64], k: int) -> list[int]:
    """The picks of uncertainty alone, for comparison."""
    scores = {UNCERTAINTY: uncertainty(1 / (1 + np.exp(-logits)))}
    everyone = np.ones(len(logits), np.bool_)
    chosen = select_balanced(
        scores, {UNCERTAINTY: 1.0}, k, candidates=everyone, vectors=stream.embeddings, distance=EMBEDDING_DISTANCE
    )
    return [pick.index for pick in chosen.picks]


def trial(net: StreetVisionNet, folder: Path, seed: int, sizes: tuple[int, int, int]) -> dict[str, list[float]]:
    """Accuracy per budget by way of choosing; `before` is the head that has seen no picture of the stream."""
    rng = np.random.default_rng((19, seed))
    scenes = range(FIRST_SCENE + seed * 100_000, FIRST_SCENE + (seed + 1) * 100_000)
    parts = [part.tolist() for part in np.array_split(np.array(scenes), 3)]
    shifts = (0.0, SHIFTED, SHIFTED)
    start, stream, test = make(net, [jobs(rng, *one) for one in zip(parts, sizes, shifts, strict=True)])
    head = Head(start.embeddings).fit(start.embeddings, start.labels)
    logits = head.logits(stream.embeddings)
    largest = max(BUDGETS)
    after = partial(_accuracy_after, start, stream, test)
    picks = {"mined": mined(folder / f"seed{seed}", stream, logits, largest)}
    picks["uncertain"] = by_uncertainty(stream, logits, largest)
    result = {name: [after(chosen[:k]) for k in BUDGETS] for name, chosen in picks.items()}
    draws = [rng.permutation(len(stream.labels))[:largest].tolist() for _ in range(DRAWS)]
    result["random"] = [float(np.mean([after(draw[:k]) for draw in draws])) for k in BUDGETS]
    return result | {"before": [head.accuracy(test)] * len(BUDGETS)}


def _accuracy_after(start: Pictures, stream: Pictures, test: Pictures, chosen: Sequence[int]) -> float:
    embeddings, labels = stream.take(chosen)
    head = Head(start.embeddings)
    head.fit(np.concatenate([start.embeddings, embeddings]), np.concatenate([start.labels, labels]))
    return head.accuracy(test)


def rows(trials: Sequence[dict[str, list[float]]]) -> list[Row]:
    """Means over the seeds, with the spread (standard deviation) of the gain from seed to seed."""
    table: list[Row] = []
    for position, k in enumerate(BUDGETS):
        one = {name: np.array([trial[name][position] for trial in trials]) for name in trials[0]}
        gain = one["mined"] - one["random"]
        table.append(
            {
                "k": k,
                "before": float(one["before"].mean()),
                "random": float(one["random"].mean()),
                "mined": float(one["mined"].mean()),
                "uncertain": float(one["uncertain"].mean()),
                "mined - random": float(gain.mean()),
                "its spread": float(gain.std(ddof=1)) if len(gain) > 1 else None,
                "per seed": ", ".join(f"{value:+.3f}" for value in gain),
            }
        )
    return table


def run(folder: Path, seeds: Sequence[int], sizes: tuple[int, int, int]) -> list[dict[str, list[float]]]:
    """All trials, with a database in `folder`."""
    os.environ["FIFTYONE_DATABASE_DIR"] = str(folder / "database")
    os.environ.pop("FIFTYONE_DATABASE_URI", None)
    torch.set_num_threads(usable_threads())
    net = load(bundled_checkpoint()).net
    return [trial(net, folder, seed, sizes) for seed in seeds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    arguments = parser.parse_args()
    seeds = arguments.seeds[:1] if arguments.quick else arguments.seeds
    sizes = (100, 300, 100) if arguments.quick else (START, STREAM, TEST)
    where = machine()
    with disk() as folder:
        # In a process that ends before its folder goes: mongod ends with its last client.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            trials = fresh.submit(run, folder, seeds, sizes).result()
        await_end(folder / "database")
    title = f"Accuracy on a shifted stream after labelling k of its {sizes[1]:,} pictures, mean of {len(seeds)} seeds"
    official = tuple(seeds) == SEEDS and not arguments.quick
    report("mining_pays", title, rows(trials), where, RESULTS if official else Path(tempfile.gettempdir()))


if __name__ == "__main__":
    main()
