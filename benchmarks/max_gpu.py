"""Modular MAX on a GPU against ours, torch.compile and eager torch: bfloat16, B and L, on one H200.

Turns are interleaved and end when the device is idle, by the clock of the host: MAX has streams of its own, which
torch's events do not see. Images are on the device already. `max_graph` replays what MAX captured in a CUDA graph, as
ours is; it has no row where MAX cannot capture. An answer that is wrong gets no speed.

`--rehearse` runs the same turns on a CPU in float32, with a tiny network and without ours: it shows that the script
works, and no speed.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from forward import LAYER_SCALE, WIDTHS, compiled, distance, graphed
from harness import RESULTS, Row, machine, report
from max.driver import CPU, Accelerator, Buffer, accelerator_count

from streetvision.models.config import HeadConfig
from streetvision.models.network import StreetVisionNet, build, tiny_config
from streetvision.runner.max_session import MaxSession

BATCHES = (1, 32, 128)
ROUNDS = 7
TURN_SECONDS = 0.2
WORST = 0.05
"""Largest relative distance of the embeddings from float32's that still counts as right."""
AT_ONCE = 16
"""Images whose float32 embeddings are computed together."""

Run = Callable[[], object]
Answer = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Rival:
    """One way to compute the same batch."""

    run: Run
    answer: Callable[[], torch.Tensor]
    """Embeddings [N, E]."""


class MaxRival:
    """MAX's model with pictures that are on its device, as torch's rivals have theirs."""

    def __init__(self, session: MaxSession, images: torch.Tensor) -> None:
        self.model: Any = session._model
        self.device: Any = Accelerator() if images.is_cuda else CPU()
        self.pictures = Buffer.from_numpy(images.cpu().numpy()).to(self.device)

    def run(self) -> list[Any]:
        """Launch, without waiting."""
        outputs: list[Any] = self.model.execute(self.pictures)
        return outputs

    def answer(self) -> torch.Tensor:
        """Embeddings [N, E] of an execution."""
        return torch.from_numpy(self.run()[1].to(CPU()).to_numpy().copy())

    def captured(self) -> Rival | None:
        """The same out of a CUDA graph; None where MAX cannot capture it."""
        key = int(self.pictures.shape[0])
        try:
            outputs = self.model.capture(key, self.pictures)
            self.model.replay(key, self.pictures)
        except (RuntimeError, ValueError) as error:
            print(f"MAX captures no graph: {error}", file=sys.stderr)
            return None

        def answer() -> torch.Tensor:
            self.model.replay(key, self.pictures)
            return torch.from_numpy(outputs[1].to(CPU()).to_numpy().copy())

        return Rival(partial(self.model.replay, key, self.pictures), answer)


def network(size: str) -> StreetVisionNet:
    """A random DINOv3 of that size in float32 on the CPU, where MAX takes its weights from."""
    torch.manual_seed(0)
    if size == "tiny":
        return build(replace(tiny_config(depth=2, width=64), input_size=48)).eval().requires_grad_(False)
    config = replace(
        tiny_config(),
        architecture=f"vit_{size}_patch16_dinov3",
        architecture_kwargs={"init_values": LAYER_SCALE},
        head=HeadConfig(embedding_dim=2 * WIDTHS[size]),
    )
    return build(config).eval().requires_grad_(False)


def measure(size: str, batches: Sequence[int], device: str) -> list[Row]:
    """All rivals on one network, batch after batch."""
    net = network(size)
    side = net.input_size
    started = time.perf_counter()
    session = MaxSession(net, "bf16" if device == "cuda" else "float32", device)
    compile_seconds = time.perf_counter() - started
    print(f"MAX took {compile_seconds:.0f} s to compile {size} or to find it in its cache", file=sys.stderr)
    net = net.to(device)
    pool = torch.randint(0, 256, (max(batches), side, side, 3), dtype=torch.uint8, device=device)
    truth = torch.cat([net.forward_uint8(part)[1] for part in pool.split(AT_ONCE)]).cpu()  # type: ignore[no-untyped-call]  # torch's gap
    rows: list[Row] = []
    for batch in batches:
        images = pool[:batch].clone()
        rivals = {**torchs(copy.deepcopy(net), images), **maxs(session, images)}
        found = _rows(size, batch, rivals, truth[:batch])
        rows += [row | {"max_compile_s": compile_seconds} for row in found]
        torch.compiler.reset()
    return rows


def torchs(net: StreetVisionNet, images: torch.Tensor) -> dict[str, Rival]:
    """Ours, torch.compile and eager; the last two alone where there is no GPU."""
    forwards: dict[str, Callable[[torch.Tensor], Answer]] = {}
    if images.is_cuda:
        from streetvision.runner.cuda_forward import FastForward

        forwards["ours"] = graphed(FastForward(net, images.device), images)
        net = net.for_inference("cuda", torch.bfloat16)
        forwards["compile"] = compiled(net)
    forwards["eager"] = net.forward_uint8
    return {name: _torchs(forward, images) for name, forward in forwards.items()}


def _torchs(forward: Callable[[torch.Tensor], Answer], images: torch.Tensor) -> Rival:
    return Rival(partial(forward, images), lambda: forward(images)[1].float().cpu())


def maxs(session: MaxSession, images: torch.Tensor) -> dict[str, Rival]:
    """MAX as it executes, and out of a graph where it can."""
    rival = MaxRival(session, images)
    graph = rival.captured() if images.is_cuda else None
    return {"max": Rival(rival.run, rival.answer)} | ({} if graph is None else {"max_graph": graph})


def _idle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    if accelerator_count():
        Accelerator().synchronize()


def _turn(run: Run, times: int) -> float:
    """Seconds of one of so many runs."""
    _idle()
    started = time.perf_counter()
    for _ in range(times):
        run()
    _idle()
    return (time.perf_counter() - started) / times


def _rows(size: str, batch: int, rivals: dict[str, Rival], truth: torch.Tensor) -> list[Row]:
    errors = {name: distance((truth, rival.answer()), truth) for name, rival in rivals.items()}
    wrong = {name: error for name, error in errors.items() if not error <= WORST}
    if wrong:
        sys.exit(f"{size} at batch {batch} is wrong: {wrong}, so it gets no speed")
    times = {name: max(3, int(TURN_SECONDS / _turn(rival.run, 3))) for name, rival in rivals.items()}
    rounds = [{name: _turn(rival.run, times[name]) for name, rival in rivals.items()} for _ in range(ROUNDS)]
    return [
        {
            "model": size,
            "batch": batch,
            "forward": name,
            "ms": 1e3 * statistics.median(turn[name] for turn in rounds),
            "images_per_s": batch / statistics.median(turn[name] for turn in rounds),
            "times_eager": statistics.median(turn["eager"] / turn[name] for turn in rounds),
            "error": errors[name],
        }
        for name in rivals
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for max_gpu.json")
    parser.add_argument("--models", nargs="+", choices=WIDTHS, default=["base", "large"])
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--rehearse", action="store_true", help="a tiny network on the CPU; writes nothing")
    arguments = parser.parse_args()
    if arguments.rehearse:
        with torch.inference_mode():
            print(*measure("tiny", (1, 2), "cpu"), sep="\n")
        return
    if not (torch.cuda.is_available() and accelerator_count()):
        sys.exit("This needs a CUDA device that torch and MAX both see; nothing was measured.")
    where, rows = machine(), list[Row]()
    with torch.inference_mode():
        for size in arguments.models:
            rows += measure(size, arguments.batches, "cuda")
            report("max_gpu", "Modular MAX against ours, torch.compile and eager", rows, where, arguments.results)


if __name__ == "__main__":
    main()
