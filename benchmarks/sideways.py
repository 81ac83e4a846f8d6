"""Whether quarter-turn views help with photos that arrive on their side: the bundled model on labelled pictures.

Takes a folder with a `manifest.csv` (columns file, label, source, paired; label 1 is roadwork). Every picture is
answered upright and turned by 90 degrees to either side, with the plain view alone and with quarter turns beside it.
The parts of the folder are told apart, never pooled: paired crops by accuracy and MCC, the other pictures with roadwork
by recall, those without by false alarms. `z` says how far the fixed and the broken answers are from chance (McNemar):
below 2 in size it is noise.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
import torch
from harness import RESULTS, Row, machine, report
from numpy.typing import NDArray
from PIL import Image

from streetvision.engine.decode import DecodeLimits, decode_looks
from streetvision.engine.views import Eye, Look, looks_of
from streetvision.models.folder import bundled_checkpoint
from streetvision.models.views import parse_view
from streetvision.runner.torch_runner import TorchRunner

LISTS = ("plain", "plain rot90", "plain rot270", "plain rot90 rot270", "plain rot90 rot180 rot270")
NAMES = tuple(dict.fromkeys(name for line in LISTS for name in line.split()))
TURNS = {"upright": None, "turned left": Image.Transpose.ROTATE_90, "turned right": Image.Transpose.ROTATE_270}
PARTS = ("paired crops", "other roadwork", "other without")


@dataclass(frozen=True)
class Scored:
    """A picture's logit of each view, as it arrived."""

    part: str
    label: bool
    arrived: str
    logits: dict[str, float]


def part_of(line: dict[str, str]) -> str:
    if line["paired"] == "1":
        return PARTS[0]
    return PARTS[1] if line["label"] == "1" else PARTS[2]


def turned(path: Path, turn: Image.Transpose | None) -> bytes:
    """The picture's pixels on their side, without a tag and without another loss."""
    image = Image.open(path).convert("RGB")
    out = io.BytesIO()
    (image if turn is None else image.transpose(turn)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def score(runner: TorchRunner, data: bytes) -> dict[str, float]:
    eye = Eye(runner.input_size, "squash")

    def looks(width: int, height: int) -> list[Look]:
        return [look for name in NAMES for look in looks_of(parse_view(name), width, height, eye)]

    decoded = decode_looks(data, looks, limits=DecodeLimits())
    logits = runner.run(np.stack([decoded.array, *decoded.others])).logits
    return dict(zip(NAMES, map(float, logits), strict=True))


def scored(runner: TorchRunner, folder: Path) -> Iterator[Scored]:
    with (folder / "manifest.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            for arrived, turn in TURNS.items():
                logits = score(runner, turned(folder / line["file"], turn))
                yield Scored(part_of(line), line["label"] == "1", arrived, logits)


def answers(results: Sequence[Scored], views: Sequence[str]) -> NDArray[np.bool_]:
    """The mean logit, as an ensemble answers: each view weighs the same."""
    return np.array([np.mean([result.logits[name] for name in views]) > 0 for result in results])


def mcc(answer: NDArray[np.bool_], label: NDArray[np.bool_]) -> float | None:
    """Matthews' correlation; None where the part knows one label alone, 0 where the answers do."""
    if label.all() or not label.any():
        return None
    return 0.0 if answer.all() or not answer.any() else float(np.corrcoef(answer, label)[0, 1])


def share(answer: NDArray[np.bool_], among: NDArray[np.bool_]) -> float | None:
    return float(answer[among].mean()) if among.any() else None


def row(part: str, arrived: str, line: str, results: Sequence[Scored]) -> Row:
    labels = np.array([result.label for result in results])
    plain, answer = answers(results, ["plain"]), answers(results, line.split())
    fixed = int(((answer == labels) & (plain != labels)).sum())
    broken = int(((answer != labels) & (plain == labels)).sum())
    return {
        "part": part,
        "arrived": arrived,
        "views": line,
        "count": len(results),
        "accuracy": float((answer == labels).mean()),
        "mcc": mcc(answer, labels),
        "recall": share(answer, labels),
        "false_alarms": share(answer, ~labels),
        "fixed": fixed,
        "broken": broken,
        "z": (fixed - broken) / sqrt(fixed + broken) if fixed + broken else 0.0,
    }


def table(results: Sequence[Scored]) -> list[Row]:
    rows = []
    for part in PARTS:
        for arrived in TURNS:
            group = [result for result in results if (result.part, result.arrived) == (part, arrived)]
            rows += [row(part, arrived, line, group) for line in LISTS if group]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="labelled pictures with a manifest.csv")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for sideways.json")
    arguments = parser.parse_args()
    where = machine()
    torch.set_num_threads(1)
    runner = TorchRunner(bundled_checkpoint(), device="cpu", buckets=(len(NAMES),), compile=False)
    runner.warmup()
    rows = table(list(scored(runner, arguments.folder)))
    title = "Photos on their side: the bundled model with quarter-turn views and without"
    report("sideways", title, rows, where | {"torch": torch.__version__}, arguments.results)


if __name__ == "__main__":
    main()
