"""How a network is made fast: what torch.compile needs, which regions it compiles, and CUDA graphs captured by hand."""

from __future__ import annotations

import logging
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from streetvision_kernels.capturing import uncollected
from torch import nn

from streetvision.errors import OperatorError
from streetvision.models.dinov3 import StreetVisionNet

Forward = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

PoolHandle = Any
"""What torch.cuda.graph_pool_handle() returns; its type is private to torch."""

MAX_COMPILED_SHAPES = 64
"""Graphs kept for one piece of code: buckets times models alive at once. Beyond torch's own limit it runs eagerly."""

logger = logging.getLogger(__name__)


def missing_for_cpu_compile() -> str | None:
    """What this machine lacks for torch.compile on the CPU, as part of a sentence; None if it lacks nothing."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"no C++ compiler ({compiler}) is installed"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's C headers are not installed (python3-dev)"
    return None


def decide_compile(wish: bool | None, *, cuda: bool) -> bool:
    """Whether to compile: as wished, None being wherever the machine can, with a logged sentence where it cannot.

    Raises OperatorError when it is insisted on and cannot be.
    """
    missing = None if cuda else missing_for_cpu_compile()
    if wish is False or missing is None:
        return wish is not False
    if wish:
        raise OperatorError(f"The model cannot be compiled: {missing}; install it or leave compilation off.")
    logger.warning("the model runs eagerly and slower: %s", missing)
    return False


def compile_net(net: StreetVisionNet, *, regional: bool) -> Forward:
    """Compile `forward_uint8` for fixed shapes: the transformer block alone (`regional`) or the whole network.

    The blocks are alike, so one compiled block serves all of them and a shape costs seconds instead of tens of seconds.
    Compilation itself happens at the first call with each shape.
    """
    if not regional:
        return torch.compile(net.forward_uint8, dynamic=False)
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


@contextmanager
def compiled_before() -> Iterator[None]:
    """Let only such code run that was compiled before: what would have to be compiled raises RuntimeError instead.

    It holds for the whole process: for others who compile meanwhile too.
    """
    with torch.compiler.set_stance("fail_on_recompile"):
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
