"""Serving with a training step beside it, in one process on one GPU: how late do answers come, and what does it cost?

Batches of 1, 8 and 32 go through the runner in turn (ViT-B, bfloat16), each after a short random pause, while ViT-B
trains in another thread (batch 32, bfloat16, AdamW). The whole step is one CUDA graph (`graph`), so that little of
Python's lock is in play, or launched kernel by kernel (`eager`). What keeps the two apart is a stream each, stream
priorities, or a partition of the multiprocessors. `gpu` is the time between events around the forward's graph, `host`
that of the runner's call, upload and download included. The ways take turns in rounds.
"""

from __future__ import annotations

import argparse
import copy
import gc
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from background import TrainingStep
from harness import RESULTS, machine, report
from runner import WIDTHS, description
from sharing import ALONE, FAILURES, PICTURES, SIZES, Timed, Way, first_line, measure, rows, say
from streetvision_kernels.multiprocessors import assign, look, looking_glass, multiprocessors_in

from streetvision.models.config import ModelConfig
from streetvision.models.network import LoadedModel, StreetVisionNet, build
from streetvision.runner.partition import Partition
from streetvision.runner.torch_runner import TorchRunner

SERVING = 0.8
APART = 2e-2
"""Logits: a runner in a partition may differ from one on the whole chip by bfloat16's rounding at most."""
LAYER_SCALE = 0.1
"""Lets every block of random weights matter to the answer."""


@dataclass
class Bench:
    """The network on trial, the runner that has the whole chip, and what is known of the machine."""

    config: ModelConfig
    net: StreetVisionNet
    facts: dict[str, str | int | float]
    device: torch.device = field(default_factory=lambda: torch.device("cuda"))

    def warmed(self, stream: torch.cuda.Stream) -> TorchRunner:
        """A runner whose graphs were captured on that stream: so they have its multiprocessors and its priority."""
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            model = LoadedModel(copy.deepcopy(self.net), self.config)
            runner = TorchRunner(model, device="cuda", buckets=SIZES, fast=True, precision="bf16")
            runner.warmup()
        torch.cuda.synchronize()
        runner._ready = {size: Timed(forward) for size, forward in runner._ready.items()}
        return runner


def seen_by(stream: torch.cuda.Stream, device: torch.device, launcher: torch.cuda.Stream | None = None) -> set[int]:
    """Multiprocessors that work started on `stream` meets, or captured there in a graph that `launcher` launches."""
    seen = looking_glass(device)
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        look(seen)
    found: set[int] = multiprocessors_in(seen, stream)
    if launcher is None:
        return found
    seen.fill_(-1)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        look(seen)
    torch.cuda.synchronize()
    with torch.cuda.stream(launcher):
        graph.replay()
    met: set[int] = multiprocessors_in(seen, launcher)
    return met


def check_shares(bench: Bench, partition: Partition) -> None:
    """Look where the work of each share really runs; raises RuntimeError if the shares are not what they are called."""
    default, streams = torch.cuda.default_stream(bench.device), (partition.serving, partition.background)
    serving, background = (seen_by(stream, bench.device) for stream in streams)
    in_graphs = [seen_by(stream, bench.device, stream) for stream in streams]
    elsewhere = seen_by(partition.serving, bench.device, default)
    bench.facts |= {
        "multiprocessors": len(seen_by(default, bench.device)),
        "serving": len(serving),
        "background": len(background),
        "in_both": len(serving & background),
        "captured_for_serving_launched_elsewhere": len(elsewhere),
    }
    say(f"multiprocessors: { {key: bench.facts[key] for key in list(bench.facts)[-5:]} }")
    say(f"serving {sorted(serving)}\n          background {sorted(background)}")
    say(f"in graphs: {len(in_graphs[0])} and {len(in_graphs[1])}, the same: {in_graphs == [serving, background]}")
    promised = (partition.serving_multiprocessors, partition.background_multiprocessors)
    if (len(serving), len(background)) != promised or serving & background or in_graphs != [serving, background]:
        raise RuntimeError(f"the shares are not {promised} multiprocessors, apart, inside and outside of graphs")


def check_answers(expected: TorchRunner, runner: TorchRunner, stream: torch.cuda.Stream) -> str:
    """How alike both answer; raises RuntimeError if they are further apart than rounding."""
    one = expected.run(PICTURES[32])
    with torch.cuda.stream(stream):
        other = runner.run(PICTURES[32])
    apart = float(np.abs(other.logits - one.logits).max())
    if not apart <= APART:
        raise RuntimeError(f"the runner in the partition is wrong by {apart} of a logit, so it gets no speed")
    return "bit for bit" if np.array_equal(other.embeddings, one.embeddings) else f"within {apart:.2g} of a logit"


def on_the_whole_chip(bench: Bench, whole: TorchRunner) -> Iterator[Way]:
    """Without a partition: serving on the default stream, as in service, or on one of high priority."""
    default = torch.cuda.default_stream(bench.device)
    high: torch.cuda.Stream = torch.cuda.Stream(priority=-1)  # type: ignore[no-untyped-call]  # torch's gap
    plain: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's gap
    yield Way("serving alone", "none", 1.0, whole, default)
    first = bench.warmed(high)
    step = TrainingStep(bench.net, plain)
    yield Way("a stream each", "eager", 0.2, whole, default, step.run, plain)
    yield Way("priorities", "eager", 0.2, first, high, step.run, plain)
    graph = TrainingStep(bench.net, plain).captured()
    yield Way(ALONE, "graph", step=graph, step_stream=plain)
    yield Way("a stream each", "graph", 1.0, whole, default, graph, plain)
    yield Way("priorities", "graph", 1.0, first, high, graph, plain)


def in_shares(bench: Bench, whole: TorchRunner, open_: Callable[..., Partition]) -> Iterator[Way]:
    """With a partition; its prices apart: serving alone on its share, and with products chosen for the whole chip."""
    partition = open_()
    check_shares(bench, partition)
    serving, background = partition.serving, partition.background
    runner = bench.warmed(serving)
    bench.facts["answers_in_partition"] = check_answers(whole, runner, serving)
    yield Way("partition, serving alone", "none", 0.15, runner, serving)
    step = TrainingStep(bench.net, background)
    yield Way("partition", "eager", 0.2, runner, serving, step.run, background)
    graph = TrainingStep(bench.net, background).captured()
    yield Way("partition, training alone", "graph", step=graph, step_stream=background)
    yield Way("partition", "graph", 1.0, runner, serving, graph, background)
    assign(serving, None)
    careless = bench.warmed(serving)
    assign(serving, partition.serving_multiprocessors)
    yield Way("partition, serving alone, products for all", "none", 0.15, careless, serving)


def in_shares_with_priority(bench: Bench, open_: Callable[..., Partition]) -> Iterator[Way]:
    partition = open_(priority=-1)
    runner = bench.warmed(partition.serving)
    graph = TrainingStep(bench.net, partition.background).captured()
    yield Way("partition and priorities", "graph", 1.0, runner, partition.serving, graph, partition.background)


def add(ways: list[Way], name: str, made: Iterator[Way]) -> None:
    """Add what can be made; what cannot leaves a row that says why."""
    try:
        for way in made:
            ways.append(way)
            say(f"ready: {way.sharing}, training {way.training}")
    except FAILURES as error:
        ways.append(Way(name, "", problem=first_line(error)))
        say(f"{name}: {error}")


def run(bench: Bench, arguments: argparse.Namespace, name: str) -> None:
    ways: list[Way] = []
    with ExitStack() as partitions:

        def open_(**options: int) -> Partition:
            return partitions.enter_context(Partition(bench.device, serving=SERVING, **options))

        def show() -> None:
            report(name, "Serving beside a training step", rows(ways), bench.facts, arguments.results)

        def save() -> None:
            with redirect_stdout(io.StringIO()):
                show()

        whole = bench.warmed(torch.cuda.default_stream(bench.device))
        add(ways, "on the whole chip", on_the_whole_chip(bench, whole))
        add(ways, "partition", in_shares(bench, whole, open_))
        add(ways, "partition and priorities", in_shares_with_priority(bench, open_))
        measure(ways, arguments.batches, arguments.seconds, save)
        show()
        ways.clear()
        gc.collect()  # graphs end before the streams that they were captured on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for partition-<device>.json")
    parser.add_argument("--model", choices=("tiny", *WIDTHS), default="base", help="what serves and what trains")
    parser.add_argument("--batches", type=int, default=1_500, help="of each size, for each way")
    parser.add_argument("--seconds", type=float, default=70.0, help="of measuring at most")
    arguments = parser.parse_args()
    # By default streams share eight queues to the device, and one may wait behind another for no reason.
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
    if not torch.cuda.is_available():
        sys.exit("Only a CUDA device can be shared out, and this machine has none; nothing was measured.")
    config = description(arguments.model)
    config = replace(config, architecture_kwargs={**config.architecture_kwargs, "init_values": LAYER_SCALE})
    torch.manual_seed(0)
    bench = Bench(config, build(config), machine())
    run(bench, arguments, f"partition-{torch.cuda.get_device_name().removeprefix('NVIDIA ').split()[0].lower()}")
    say("done")


if __name__ == "__main__":
    main()
