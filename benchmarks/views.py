"""Whether test-time views pay: the bundled model on the validators' challenges, one view against several.

Challenges are procedural scenes under the validators' own augmentations (levels 0 to 3) and at native size; every list
of views answers the same ones. `fixed` and `broken` count the answers that its views turned right and wrong against one
view, and `z` says how far that is from chance (McNemar): below 2 in size it is noise. The bundled model knows made
pictures: whether views pay for another model is for its own evaluation to say.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt
from pathlib import Path

import numpy as np
import torch
from harness import RESULTS, Row, machine, report
from numpy.typing import NDArray

from streetvision.base.process_pool import map_on_cores
from streetvision.base.resources import usable_threads
from streetvision.engine.decode import DecodeLimits, decode_looks
from streetvision.engine.types import ImageArray
from streetvision.engine.views import Eye, Look, looks_of
from streetvision.models.folder import bundled_checkpoint
from streetvision.models.views import parse_view, parse_views
from streetvision.runner.torch_runner import TorchRunner
from streetvision.scenes.challenges import NATIVE, challenge
from streetvision.subnet import matthews

LISTS = (
    "plain",
    "plain hflip",
    "plain vflip",
    "plain hflip vflip rot180",
    "plain crop:0.8",
    "plain crop:0.6",
    "plain scale:0.75",
    "plain hflip crop:0.8 crop:0.8+hflip",
    "plain hflip scale:0.75 scale:0.75+hflip",
    "plain hflip crop:0.8 scale:0.75",
    "plain tiles:2x2@0.2",
    "plain tiles:3x2@0.2",
    "plain hflip vflip rot180 crop:0.8 crop:0.8+hflip scale:0.75 scale:0.75+hflip",
)
NAMES = tuple(dict.fromkeys(name for line in LISTS for name in line.split()))
EYE = Eye(224, "squash")
FIRST_SEED = 30_000_000
"""Far from the seeds that any test or calibration uses."""


@dataclass(frozen=True)
class Question:
    """A challenge, decoded for every view that any list names; a view without passes is missing."""

    label: bool
    level: int
    names: tuple[str, ...]
    """The view of each pass."""
    images: ImageArray
    """uint8 [passes, 224, 224, 3]."""


@dataclass(frozen=True)
class Scored:
    """The model's logit of each view of a challenge, the mean over its tiles."""

    label: bool
    level: int
    logits: dict[str, float]


def question(seed: int, *, native: bool) -> Question:
    """Render, augment, encode and decode one challenge, in a worker process."""
    asked = challenge(seed, native=native)
    names: list[str] = []

    def looks(width: int, height: int) -> list[Look]:
        made = [(name, look) for name in NAMES for look in looks_of(parse_view(name), width, height, EYE)]
        names.extend(name for name, _ in made)
        return [look for _, look in made]

    decoded = decode_looks(asked.jpeg, looks, limits=DecodeLimits())
    return Question(asked.label, asked.level, tuple(names), np.stack([decoded.array, *decoded.others]))


def score(runner: TorchRunner, asked: Question) -> Scored:
    most = runner.buckets[-1]
    parts = [runner.run(asked.images[start : start + most]).logits for start in range(0, len(asked.images), most)]
    logits = np.concatenate(parts)
    names = np.array(asked.names)
    means = {name: float(logits[names == name].mean()) for name in dict.fromkeys(asked.names)}
    return Scored(asked.label, asked.level, means)


def scored(runner: TorchRunner, seeds: range, *, native: bool, workers: int) -> Iterator[Scored]:
    for asked in map_on_cores(partial(question, native=native), seeds, workers):
        yield score(runner, asked)


def answers(results: Sequence[Scored], views: Sequence[str]) -> NDArray[np.bool_]:
    """What a list of views answers: the mean logit, each view weighing the same, missing ones left out."""
    means = [np.mean([result.logits[name] for name in views if name in result.logits]) for result in results]
    return np.array(means) > 0


def row(name: str, results: Sequence[Scored], views: Sequence[str], what: str) -> Row:
    labels = np.array([result.label for result in results])
    one, all_ = answers(results, ["plain"]) == labels, answers(results, views) == labels
    fixed, broken = int((all_ & ~one).sum()), int((one & ~all_).sum())
    return {
        "views": name,
        "challenges": what,
        "count": len(results),
        "accuracy": float(all_.mean()),
        "mcc": matthews(labels.tolist(), answers(results, views).tolist()),
        "fixed": fixed,
        "broken": broken,
        "z": (fixed - broken) / sqrt(fixed + broken) if fixed + broken else 0.0,
    }


def table(results: Sequence[Scored]) -> list[Row]:
    groups = {"augmented, levels 0-3": [result for result in results if result.level != NATIVE]}
    groups["native size"] = [result for result in results if result.level == NATIVE]
    rows = []
    for what, group in groups.items():
        for line in LISTS:
            views = [str(view) for view in parse_views(line.split())]
            if all(any(name in result.logits for result in group) for name in views):
                rows.append(row(line, group, views, what))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for views.json")
    parser.add_argument("--augmented", type=int, default=8000, help="challenges at levels 0 to 3")
    parser.add_argument("--native", type=int, default=800, help="challenges at native size")
    parser.add_argument(
        "--workers", type=int, default=max(1, usable_threads() - 1), help="processes that draw challenges"
    )
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    where = machine()
    torch.set_num_threads(2)
    runner = TorchRunner(bundled_checkpoint(), device=arguments.device, buckets=(1, 8, 32), compile=False)
    runner.warmup()
    results: list[Scored] = []
    for native, count in ((False, arguments.augmented), (True, arguments.native)):
        first = FIRST_SEED + (arguments.augmented if native else 0)
        results += scored(runner, range(first, first + count), native=native, workers=arguments.workers)
    report(
        "views", "The bundled model with one test-time view and with several", table(results), where, arguments.results
    )


if __name__ == "__main__":
    main()
