"""Forward and backward of the backbone as two CUDA graphs, replayed at each step.

A ViT-L has some thousand kernels a step, and launching them takes the host longer than the GPU takes to run them
(benchmarks/training.py). `torch.cuda.make_graphed_callables` would do, but captures in a mode in which the threads that
load pictures may not allocate meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

WARMUPS = 3
"""Eager steps before the capture: libraries set themselves up, blocks are compiled."""
Forward = Callable[[torch.Tensor], torch.Tensor]


class GraphedForward:
    """A differentiable function of a tensor of one shape and of weights that are only ever changed in place."""

    def __init__(self, forward: Forward, weights: Sequence[torch.Tensor], sample: torch.Tensor) -> None:
        """Capture on the shape of `sample`, under the autocast that is on now; `weights` are those that learn."""
        self._weights = tuple(weights)
        self._input = sample.detach().clone()
        context = torch.autocast(
            "cuda",
            torch.get_autocast_dtype("cuda"),
            enabled=torch.is_autocast_enabled("cuda"),
            cache_enabled=False,
        )
        with context:
            self._warm_up(forward)
            self._forward = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._forward, capture_error_mode="thread_local"):
                output = forward(self._input)
        self._output = output.detach()
        self._slope = torch.empty_like(self._output)
        self._backward = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._backward, pool=self._forward.pool(), capture_error_mode="thread_local"):
            self._gradients = torch.autograd.grad(output, self._weights, self._slope, allow_unused=True)

    def fits(self, pixels: torch.Tensor) -> bool:
        """Whether that is a tensor as was captured."""
        return pixels.shape == self._input.shape and pixels.dtype == self._input.dtype

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """What `forward` gives; valid until the next call. Its gradient reaches the weights and not `pixels`."""
        output: torch.Tensor = _Replay.apply(self, pixels, *self._weights)
        return output

    def replay_forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The captured forward on other pixels."""
        self._input.copy_(pixels)
        self._forward.replay()
        return self._output.detach()

    def replay_backward(self, slope: torch.Tensor) -> list[torch.Tensor | None]:
        """Gradients of the weights, copied: autograd may keep them, and the next replay writes them anew."""
        self._slope.copy_(slope)
        self._backward.replay()
        return [None if one is None else one.clone() for one in self._gradients]

    def _warm_up(self, forward: Forward) -> None:
        """On a stream of its own, as a capture asks for."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARMUPS):
                output = forward(self._input)
                torch.autograd.grad(output, self._weights, torch.zeros_like(output), allow_unused=True)
        torch.cuda.current_stream().wait_stream(stream)


class _Replay(torch.autograd.Function):
    """Puts the two graphs into autograd's own."""

    @staticmethod
    def forward(ctx: Any, graphs: GraphedForward, pixels: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        ctx.graphs = graphs
        return graphs.replay_forward(pixels)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401
        return None, None, *ctx.graphs.replay_backward(slopes[0])
