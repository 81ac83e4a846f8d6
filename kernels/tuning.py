"""Choosing among algorithms that give the same bits, by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from streetvision_kernels.capturing import uncollected

COLD_BYTES = 96 << 20
"""In service weights come from memory, not from the L2 cache: timing cycles through copies of this size in all."""
MAX_COPIES = 16
ROUNDS = 3

Algorithm = TypeVar("Algorithm")


@dataclass(frozen=True)
class Trial(Generic[Algorithm]):
    """A way to write a @ weight.T (or more) to `out`, and its name."""

    run: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]
    """a, weight, out."""
    algorithm: Algorithm


def fastest(
    trials: Sequence[Trial[Algorithm]],
    a: torch.Tensor,
    weight: torch.Tensor,
    out: torch.Tensor,
    expected: torch.Tensor,
) -> Algorithm | None:
    """The fastest of the trials whose first rows are `expected`, bit for bit; None if there is none.

    `out` stays as it was. Trials that raise RuntimeError are left out.
    """
    copies = [weight.clone() for _ in range(max(1, min(MAX_COPIES, COLD_BYTES // weight.nbytes)))]
    timed: list[tuple[float, Algorithm]] = []
    for trial in trials:
        answer = out.clone()
        try:
            trial.run(a, weight, answer)
        except RuntimeError:
            continue
        if torch.equal(answer[: len(expected)].view(torch.uint8), expected.view(torch.uint8)):
            timed.append((_seconds(trial, a, copies, answer), trial.algorithm))
    return min(timed, key=lambda pair: pair[0])[1] if timed else None


def _seconds(trial: Trial[Algorithm], a: torch.Tensor, copies: Sequence[torch.Tensor], out: torch.Tensor) -> float:
    """Best time of one round over the copies, launched by a CUDA graph as in service."""
    stream = torch.cuda.current_stream(a.device)
    if stream == torch.cuda.default_stream(a.device):  # which cannot be captured
        stream = torch.cuda.Stream(a.device)  # type: ignore[no-untyped-call]  # torch's gap
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize(a.device)
    with torch.cuda.stream(stream), uncollected():
        # Other threads may be serving: their allocations must not end this capture.
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            for copy in copies:
                trial.run(a, copy, out)
        finally:
            graph.capture_end()
    best = float("inf")
    for _ in range(ROUNDS):
        start: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's gap
        end: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's gap
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end))
    return best
