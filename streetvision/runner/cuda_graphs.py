"""How timm's forward is made fast on CUDA: its blocks compiled, and graphs captured by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from streetvision_kernels.capturing import uncollected
from torch import nn

from streetvision.models.network import StreetVisionNet

Forward = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

PoolHandle = Any
"""What torch.cuda.graph_pool_handle() returns; its type is private to torch."""

MAX_COMPILED_SHAPES = 64
"""Graphs kept for one piece of code: buckets times models alive at once. Beyond torch's own limit it runs eagerly."""


def compile_net(net: StreetVisionNet) -> Forward:
    """Compile the transformer blocks of `forward_uint8` for fixed shapes.

    The blocks are alike, so one compiled block serves all of them and a shape costs seconds instead of tens of seconds.
    Compilation itself happens at the first call with each shape.
    """
    for block in _blocks(net):
        block.compile(dynamic=False)
    return net.forward_uint8


def undo_compile(net: StreetVisionNet) -> Forward:
    """Back to eager execution."""
    for block in _blocks(net):
        block._compiled_call_impl = None
    return net.forward_uint8


@contextmanager
def compiling() -> Iterator[None]:
    """Room for every bucket of several models; running out is an error rather than a silent fall to eager speed."""
    with torch._dynamo.config.patch(recompile_limit=MAX_COMPILED_SHAPES, fail_on_recompile_limit_hit=True):
        yield


def capture(forward: Forward, images: torch.Tensor, pool: PoolHandle) -> Forward:
    """Capture `forward(images)` in a CUDA graph; the result replays it on whatever `images` holds then.

    Its outputs live in the graph's memory until the next replay of any graph of the same pool. What is captured runs
    for ever on the multiprocessors of the stream it was captured on: the caller's, or torch's own for captures where
    the caller is on the default stream, which cannot be captured and has all of them.
    """
    current = torch.cuda.current_stream(images.device)
    own = None if current == torch.cuda.default_stream(images.device) else current
    side = own or torch.cuda.Stream(images.device)  # type: ignore[no-untyped-call]  # torch's gap
    side.wait_stream(current)
    with torch.cuda.stream(side):
        for _ in range(3):
            forward(images)
    current.wait_stream(side)
    torch.cuda.synchronize(images.device)
    graph = torch.cuda.CUDAGraph()
    # Other threads may be serving: what they allocate must not end this capture.
    with uncollected(), torch.cuda.graph(graph, pool=pool, stream=own, capture_error_mode="thread_local"):
        outputs = forward(images)

    def replay(_: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        graph.replay()
        return outputs

    return replay


def _blocks(net: StreetVisionNet) -> list[nn.Module]:
    return list(net.backbone.blocks)
