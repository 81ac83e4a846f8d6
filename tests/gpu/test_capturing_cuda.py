"""Captures go on while what other threads left behind waits to be collected."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from streetvision_kernels.cublaslt import CublasLt

from streetvision.models.network import LoadedModel, build, tiny_config
from streetvision.runner.cuda_graphs import capture
from streetvision.runner.torch_runner import TorchRunner

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

DEVICE = torch.device("cuda")


@pytest.fixture(autouse=True)
def eager_collection() -> Iterator[None]:
    """Python looks for garbage at every chance."""
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    yield
    gc.set_threshold(*before)
    gc.collect()


def a_runner() -> object:
    runner = TorchRunner(LoadedModel(build(tiny_config(depth=1)), tiny_config(depth=1)), device="cuda", buckets=(1, 2))
    runner.warmup()
    runner.run(np.zeros((2, 224, 224, 3), np.uint8))
    return runner


def an_own_graph() -> object:
    graph, images = torch.cuda.CUDAGraph(), torch.ones(8, 8, device=DEVICE)
    images @ images  # cuBLAS sets itself up, which may not be captured
    with torch.cuda.graph(graph):
        images @ images
    graph.replay()
    return graph


def pinned_memory() -> object:
    memory = torch.zeros(1 << 20, pin_memory=True)
    return memory, memory.to(DEVICE, non_blocking=True)


@pytest.mark.parametrize("make", [a_runner, an_own_graph, pinned_memory])
def test_what_others_leave_does_not_end_a_capture(make: Callable[[], object]) -> None:
    left = [make()]
    images = torch.ones(8, 8, device=DEVICE)

    def forward(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if torch.cuda.is_current_stream_capturing() and left:
            cycle: list[object] = [left.pop()]
            cycle.append(cycle)
            del cycle
        chances = [[] for _ in range(100)]  # type: ignore[var-annotated]
        return images @ images, images + len(chances)

    replay = capture(forward, images, torch.cuda.graph_pool_handle())
    assert not left
    images.fill_(2.0)
    assert float(replay(images)[1][0, 0]) == 102.0
    assert torch.randn(3, device=DEVICE).isfinite().all(), "the generator does not believe that it is captured"


def test_products_are_tuned_beside_garbage() -> None:
    for size in (128, 256):
        cycle: list[object] = [a_runner()]
        cycle.append(cycle)
        del cycle
        a, weight = (torch.ones(size, 128, device=DEVICE).bfloat16() for _ in range(2))
        out = torch.empty(size, size, device=DEVICE, dtype=torch.bfloat16)
        CublasLt(DEVICE).matmul(a, weight, out)
        assert float(out[0, 0]) == 128.0
    assert torch.randn(3, device=DEVICE).isfinite().all()
