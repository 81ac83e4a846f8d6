"""One network on the CPU by Modular MAX, by OpenVINO and by our own forward, in float32, taking turns in one run.

MAX on a CPU has no quicker precision, so it is compared in its own; docs/machines.md has the others' quicker ones.
`times` is the median over rounds of ours divided by the engine's in the same round; `apart` is the largest distance of
a probability from ours. Needs the extra `max`; OpenVINO has rows where its extra is installed. MAX's first compilation
takes minutes: `compile_s` is what this run waited, which its cache makes short.
"""

from __future__ import annotations

import argparse
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from cpu import network
from harness import RESULTS, Row, machine, report
from openvino_cpu import Answer, speed, turns
from runner import WIDTHS

from streetvision.models.logits import sigmoids
from streetvision.models.network import StreetVisionNet
from streetvision.runner.cpu_forward import SmallForward
from streetvision.runner.max_session import MaxSession


def engines(net: StreetVisionNet, threads: int) -> tuple[dict[str, Answer], float]:
    """Logits of uint8 pictures by each engine, ours first, and the seconds that MAX took to be ready."""
    small = SmallForward(net)
    answers: dict[str, Answer] = {"ours": lambda images: small(torch.from_numpy(images))[0].numpy()}
    if find_spec("openvino") is not None:
        from streetvision.runner.openvino_model import convert
        from streetvision.runner.openvino_session import Session

        session = Session(convert(net), "float32", threads)
        answers["OpenVINO"] = lambda images: session(images)["logits"]
    started = time.perf_counter()
    compiled = MaxSession(net, "float32", "cpu")
    answers["MAX"] = lambda images: compiled(images)[0]
    return answers, time.perf_counter() - started


def measure(size: str, batches: list[int], threads: int, rounds: int) -> list[Row]:
    net: StreetVisionNet = network(size).net
    answers, waited = engines(net, threads)
    rows: list[Row] = []
    for batch in batches:
        shape = (batch, net.input_size, net.input_size, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        given = {name: sigmoids(answer(images)) for name, answer in answers.items()}
        seconds = turns(list(answers.values()), images, rounds)
        for name, own in zip(answers, seconds, strict=True):
            rows.append(
                {
                    "model": size,
                    "batch": batch,
                    "engine": name,
                    **speed(own, seconds[0]),
                    "apart": float(np.abs(given[name] - given["ours"]).max()),
                    "compile_s": waited if name == "MAX" else None,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for max_cpu.json")
    parser.add_argument("--models", nargs="+", choices=["bundled", *WIDTHS], default=["bundled", "small"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="ours and OpenVINO's")
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows: list[Row] = []
    where = machine()
    with torch.inference_mode():
        for size in arguments.models:
            rows += measure(size, arguments.batches, arguments.threads, arguments.rounds)
            report("max_cpu", "On the CPU, MAX beside ours and OpenVINO, float32", rows, where, arguments.results)


if __name__ == "__main__":
    main()
