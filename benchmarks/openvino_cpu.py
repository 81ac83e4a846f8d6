"""One network on the CPU by our own forward and by OpenVINO, in every precision, taking turns in one run.

The machine may be shared: turns are short, every candidate has one in each round, and `times` is the median over rounds
of our float32's turn divided by the candidate's in the same round. `move` and `flips` are the gate's, against OpenVINO
in float32, on drawn pictures, for the bundled model alone: the weights of ViT-S and ViT-B are random here. Needs the
extra `openvino`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from cpu import network, ours
from harness import RESULTS, Row, machine, report
from runner import WIDTHS

from streetvision.engine.types import ImageArray
from streetvision.models.network import StreetVisionNet
from streetvision.runner.calibration_images import calibration_images, rounding_images
from streetvision.runner.openvino_choice import seen_on
from streetvision.runner.openvino_model import ROUNDINGS, Model, Seen, convert, rounded
from streetvision.runner.openvino_session import Session
from streetvision.runner.precision import Moved, compare

Answer = Callable[[ImageArray], np.ndarray]
BATCH = 8
CALIBRATED = 64
PAUSE = 0.02
RUNS = 2


def by_openvino(model: Model, seen: dict[str, Seen], threads: int) -> Iterator[tuple[str, str, Answer]]:
    """Engine, precision and answer."""
    for name, source in (("float32", model), ("bf16", model)):
        yield "OpenVINO", name, answered(Session(source, name, threads))
    for rounding in ROUNDINGS:
        yield "OpenVINO", f"int8: {rounding.words}", answered(Session(rounded(model, seen, rounding), "int8", threads))


def answered(session: Session) -> Answer:
    return lambda images: session(images)["logits"]


def turns(answers: list[Answer], images: ImageArray, rounds: int) -> list[list[float]]:
    """Seconds of each candidate's turn in each round: the median of a few runs after one to warm up."""
    seconds: list[list[float]] = [[] for _ in answers]
    for _ in range(rounds):
        for row, answer in zip(seconds, answers, strict=True):
            time.sleep(PAUSE)
            answer(images)
            took = []
            for _ in range(RUNS):
                started = time.perf_counter()
                answer(images)
                took.append(time.perf_counter() - started)
            row.append(median(took))
    return seconds


def speed(own: list[float], first: list[float]) -> Row:
    """Milliseconds of a candidate's turns, and how many times as quick it is as the first in the same rounds."""
    return {
        "ms": median(own) * 1e3,
        "ms_quickest_turn": min(own) * 1e3,
        "times": median(base / one for base, one in zip(first, own, strict=True)),
    }


def moved(answers: dict[tuple[str, str], Answer], pictures: ImageArray) -> dict[tuple[str, str], Moved]:
    def logits(answer: Answer) -> np.ndarray:
        return np.concatenate([answer(pictures[at : at + BATCH]) for at in range(0, len(pictures), BATCH)])

    exact = logits(answers["OpenVINO", "float32"])
    return {key: compare(exact, logits(answer)) for key, answer in answers.items()}


def measure(size: str, batches: list[int], threads: int, rounds: int, judged: int) -> list[Row]:
    judged = judged if size == "bundled" else 0
    net: StreetVisionNet = network(size).net
    pictures = calibration_images(net.input_size, count=max(CALIBRATED, judged))
    model = convert(net)
    answers = {("ours", name): answer for name, answer in ours(net, pictures)}
    seen = seen_on(model, threads, rounding_images(net.input_size))
    answers |= {(engine, name): answer for engine, name, answer in by_openvino(model, seen, threads)}
    told = moved(answers, pictures[:judged]) if judged else {}
    rows: list[Row] = []
    for batch in batches:
        seconds = turns(list(answers.values()), pictures[:batch].copy(), rounds)
        for (engine, precision), own in zip(answers, seconds, strict=True):
            change = told.get((engine, precision))
            rows.append(
                {
                    "model": size,
                    "input": net.input_size,
                    "batch": batch,
                    "engine": engine,
                    "precision": precision,
                    **speed(own, seconds[0]),
                    "move": None if change is None else change.move,
                    "flips": None if change is None else change.flips,
                    "pictures": judged or None,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for openvino_cpu.json")
    parser.add_argument("--models", nargs="+", choices=["bundled", *WIDTHS], default=["bundled", "small", "base"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--judged", type=int, default=1024, help="pictures that the gate looks at; 0: none")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows: list[Row] = []
    where = machine()
    for size in arguments.models:
        rows += measure(size, arguments.batches, arguments.threads, arguments.rounds, arguments.judged)
        report("openvino_cpu", "On the CPU, ours beside OpenVINO", rows, where, arguments.results)


if __name__ == "__main__":
    main()
