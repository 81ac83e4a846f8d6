"""Device times of calls side by side, from CUDA graphs replayed in turn: a change of the clock meets them all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

import torch

LAUNCHES = 20
"""In a graph: one alone can be shorter than the clock's step."""
ROUNDS, UNCOUNTED = 25, 5
"""The first find the chip cold."""


def side_by_side(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median microseconds of one call, each of them one of LAUNCHES in a row."""
    graphs = {name: _graph(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(ROUNDS):
        for name, graph in graphs.items():
            times[name].append(_milliseconds(graph) * 1e3 / LAUNCHES)
    return {name: statistics.median(values[UNCOUNTED:]) for name, values in times.items()}


def _graph(call: Callable[[], object]) -> torch.cuda.CUDAGraph:
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(LAUNCHES):
            call()
    return graph


def _milliseconds(graph: torch.cuda.CUDAGraph) -> float:
    start: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's gap
    end: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's gap
    start.record()
    graph.replay()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))
