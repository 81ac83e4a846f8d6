"""How well a model knows real streets: photos that no model here was trained on, labelled by eye.

Takes a folder with a `manifest.csv` (columns file, label, source, group, paired, hard; label 1 is roadwork). Its parts
differ so much that they are told apart, never pooled: paired crops of drives with and without works, whole frames with
works (with the hard ones and without them), and photos of signs and streets without any. Intervals come from resampled
groups (cities; single photos where there is no city), so that they are as wide as so few groups deserve.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import RESULTS, Cell, Row, machine, report

from streetvision.evaluation.comparison import compare
from streetvision.evaluation.figures import Estimate, estimates
from streetvision.evaluation.predictions import Answers, Serving, answer_examples, serving
from streetvision.models.folder import bundled_checkpoint
from streetvision.sources.dataset import Example
from streetvision.sources.opening import open_dataset

PARTS: dict[str, Callable[[Example], bool]] = {
    "paired crops": lambda one: one.tags["paired"] == "1",
    "whole frames": lambda one: one.tags["source"] == "roadwork_clips" and one.label,
    "whole frames, not hard": lambda one: (
        one.tags["source"] == "roadwork_clips" and one.label and one.tags["hard"] == "0"
    ),
    "signs and streets": lambda one: one.tags["source"] not in ("roadwork_clips", "roadwork_crops"),
    "frames against signs and streets": lambda one: (
        one.tags["source"] != "roadwork_crops" and (one.label or one.tags["source"] != "roadwork_clips")
    ),
}
FIGURES = ("accuracy", "mcc", "auc", "recall", "false_alarms", "ece")


async def answered(checkpoint: Path, device: str, pictures: list[Example]) -> Answers:
    async with serving(checkpoint, Serving(device)) as engine:
        return await answer_examples(engine, pictures)


def part_of(found: Answers, name: str) -> np.ndarray:
    return np.array([PARTS[name](one) for one in found.examples], np.bool_)


def row(found: Answers, name: str) -> Row:
    sample = found.sample.part(part_of(found, name))
    known = estimates(sample)
    cells: Row = {"model": found.model, "part": name, "count": len(sample)}
    for figure in FIGURES:
        cells |= {figure: rounded(known[figure].value), f"{figure} 95 %": interval(known[figure])}
    return cells


def compared(first: Answers, second: Answers, name: str) -> Row:
    found = compare(first.sample.part(part_of(first, name)), second.sample.part(part_of(second, name)))
    cells: Row = {"against": second.model, "part": name, "verdict": found.verdict}
    for figure, difference in found.differences.items():
        cells |= {figure: rounded(difference.value), f"{figure} 95 %": interval(difference)}
    return cells | {"only first": found.only_first, "only second": found.only_second, "p": rounded(found.p_value)}


def rounded(value: float | None) -> Cell:
    return None if value is None else round(value, 4)


def interval(one: Estimate) -> Cell:
    return None if one.low is None or one.high is None else f"{one.low:.3f} to {one.high:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--realset", type=Path, required=True, help="labelled pictures with a manifest.csv")
    parser.add_argument("--model", type=Path, help="a checkpoint's folder; default: the bundled one")
    parser.add_argument("--against", type=Path, help="another checkpoint's folder, to compare with")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for judge.json")
    arguments = parser.parse_args()
    where = machine()
    pictures = open_dataset(str(arguments.realset), state=arguments.realset / "no state").examples()
    first = asyncio.run(answered(arguments.model or bundled_checkpoint(), arguments.device, pictures))
    if first.unanswered:
        print("not answered:", *(f"{one.path.name} ({why})" for one, why in first.unanswered))
    rows = [row(first, name) for name in PARTS]
    report("judge", "Real streets: the parts of a labelled set, with intervals", rows, where, arguments.results)
    if arguments.against:
        second = asyncio.run(answered(arguments.against, arguments.device, pictures))
        rows = [compared(first, second, name) for name in PARTS]
        report("judge-against", "Real streets: one model against another", rows, where, arguments.results)


if __name__ == "__main__":
    main()
