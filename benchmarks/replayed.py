"""Device times of calls side by side, from CUDA graphs replayed in turn: a change of the clock meets them all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

import torch
import triton
from streetvision_kernels.tuning import milliseconds

Call = Callable[[], object]

LAUNCHES = 20
"""In a graph: one alone can be shorter than the clock's step."""
ROUNDS, UNCOUNTED = 25, 5
"""The first find the chip cold."""


def side_by_side(calls: Mapping[str, Call]) -> dict[str, float]:
    """Median microseconds of one call, each of them one of LAUNCHES in a row."""
    graphs = {name: _graph(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(ROUNDS):
        for name, graph in graphs.items():
            times[name].append(milliseconds(graph) * 1e3 / LAUNCHES)
    return {name: statistics.median(values[UNCOUNTED:]) for name, values in times.items()}


def beside_its_formula(kernel: Call, formula: Call) -> dict[str, float]:
    """Microseconds of a kernel, and of its formula under torch.compile and eager."""
    return side_by_side({"fused_us": kernel, "compiled_us": torch.compile(formula, dynamic=False), "eager_us": formula})


def copy_bandwidth() -> float:
    """Bytes per second, read and written, of a large device-to-device copy: the ceiling of what moves memory."""
    source = torch.randn(1 << 28, device="cuda")
    target = torch.empty_like(source)
    seconds = triton.testing.do_bench(lambda: target.copy_(source), return_mode="median") * 1e-3
    return 2 * source.nbytes / float(seconds)


def _graph(call: Call) -> torch.cuda.CUDAGraph:
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(LAUNCHES):
            call()
    return graph
