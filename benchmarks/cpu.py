"""One network on the CPU in every precision, ours and timm's beside ONNX Runtime's and OpenVINO's, in one run.

All candidates are timed in turn, round after round, so that what else the machine does meets all alike; medians are
reported. `move` and `flips` are the gate's: against timm in float32, on drawn pictures, in the last of the batch sizes.
Flips are told of the trained model alone: of random weights all probabilities are near one half. Needs the extra
`bench`.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from cpu_rivals import Answer, Images, missing, rivals
from harness import RESULTS, Row, machine, report
from runner import WIDTHS, description

from streetvision.models.folder import bundled_checkpoint
from streetvision.models.network import LoadedModel, StreetVisionNet, build, load
from streetvision.runner.calibration_images import calibration_images
from streetvision.runner.cpu_forward import SmallForward, missing_for_bfloat16, missing_for_int8
from streetvision.runner.precision import compare

BASELINE = ("timm, compiled", "float32")
LAYER_SCALE = 0.1
GATED = {"bundled": 1024}
GATED_OTHERWISE = 64
PAUSE = 0.03
RUNS = 3
WATCHED = 64
"""Pictures that our int8 is calibrated on; the miner takes all that the gate judges on."""


@dataclass(frozen=True)
class Candidate:
    """One way to answer."""

    engine: str
    precision: str
    answer: Answer


def network(size: str) -> LoadedModel:
    """The bundled checkpoint, or random weights with a layer scale that lets the blocks matter."""
    if size == "bundled":
        return load(bundled_checkpoint())
    torch.manual_seed(0)
    config = description(size)
    net = build(config)
    for name, weight in net.backbone.named_parameters():
        if name.endswith(("gamma_1", "gamma_2")):
            torch.nn.init.constant_(weight, LAYER_SCALE)
    return LoadedModel(net.for_inference("cpu", torch.float32), config)


def candidates(size: str, batch: int, threads: int, pictures: Images, folder: Path) -> Iterator[Candidate]:
    for dtype, name in ((torch.float32, "float32"), (torch.bfloat16, "bf16")):
        timms = network(size).net.for_inference("cpu", dtype).forward_uint8
        yield Candidate("timm, eager", name, _by_forward(timms))
        yield Candidate("timm, compiled", name, _by_forward(torch.compile(timms, dynamic=False)))
    net = network(size).net
    for name, answer in ours(net, pictures):
        yield Candidate("ours", name, answer)
    for engine, precision, rival in rivals(net, batch, threads, pictures, folder):
        yield Candidate(engine, precision, rival)


def ours(net: StreetVisionNet, pictures: Images) -> Iterator[tuple[str, Answer]]:
    exact = SmallForward(net)
    yield "float32", _by_forward(exact)
    if missing_for_bfloat16() is None:
        yield "bf16", _by_forward(SmallForward(net, dtype=torch.bfloat16))
    if missing_for_int8() is None:
        with torch.inference_mode():
            _, ranges = exact.watch(list(torch.split(torch.from_numpy(pictures[:WATCHED].copy()), 8)))
        yield "int8", _by_forward(SmallForward(net, ranges=ranges))


def _by_forward(forward: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]) -> Answer:
    def answer(images: Images) -> np.ndarray:
        with torch.inference_mode():
            return forward(torch.from_numpy(images))[0].numpy()

    return answer


def timed(all_of_them: Sequence[Candidate], images: Images, rounds: int) -> list[float]:
    """Median seconds of each. A turn is a pause, for the last one's threads to stop spinning, and a run to warm up."""
    seconds: list[list[float]] = [[] for _ in all_of_them]
    for _ in range(rounds):
        for place, candidate in enumerate(all_of_them):
            time.sleep(PAUSE)
            candidate.answer(images)
            for _ in range(RUNS):
                started = time.perf_counter()
                candidate.answer(images)
                seconds[place].append(time.perf_counter() - started)
    return [median(each) for each in seconds]


def logits(answer: Answer, pictures: Images, batch: int) -> np.ndarray:
    return np.concatenate([answer(pictures[at : at + batch]) for at in range(0, len(pictures), batch)])


def measure(size: str, batch: int, threads: int, rounds: int, *, judged: bool) -> list[Row]:
    """Rows of one model and batch size; `judged` adds what each moves the probability by."""
    pictures = calibration_images(224, count=GATED.get(size, GATED_OTHERWISE))
    with TemporaryDirectory() as folder:
        all_of_them = list(candidates(size, batch, threads, pictures, Path(folder)))
        seconds = timed(all_of_them, pictures[:batch].copy(), rounds)
        took = {(each.engine, each.precision): value for each, value in zip(all_of_them, seconds, strict=True)}
        exact = logits(all_of_them[0].answer, pictures, batch) if judged else None
        rows = [
            {
                "model": size,
                "batch": batch,
                "engine": each.engine,
                "precision": each.precision,
                "ms": took[each.engine, each.precision] * 1e3,
                "images_per_s": batch / took[each.engine, each.precision],
                "times_baseline": took[BASELINE] / took[each.engine, each.precision],
                **judgement(each, exact, pictures, batch, trained=size in GATED),
            }
            for each in all_of_them
        ]
    torch.compiler.reset()
    return rows


def judgement(each: Candidate, exact: np.ndarray | None, pictures: Images, batch: int, *, trained: bool) -> Row:
    if exact is None:
        return {"move": None, "flips": None, "pictures": None}
    moved = compare(exact, logits(each.answer, pictures, batch))
    return {"move": moved.move, "flips": moved.flips if trained else None, "pictures": moved.images}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for cpu.json")
    parser.add_argument("--models", nargs="+", choices=["bundled", *WIDTHS], default=["bundled", "small", "base"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="divisors of 32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    if absent := missing():
        sys.exit(f"Not installed: {', '.join(absent)}. Install the extra: pip install -c constraints.txt -e '.[bench]'")
    logging.disable(logging.WARNING)  # the exporters' advice
    torch.set_num_threads(arguments.threads)
    where = machine()
    rows: list[Row] = []
    for size in arguments.models:
        for batch in arguments.batches:
            judged = batch == arguments.batches[-1]
            rows += measure(size, batch, arguments.threads, arguments.rounds, judged=judged)
            report("cpu", "On the CPU, ours beside the rivals", rows, where, arguments.results)


if __name__ == "__main__":
    main()
