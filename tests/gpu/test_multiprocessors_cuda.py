"""A partition on a real GPU: disjoint, of the promised sizes, inside and outside of graphs, and at home in a runner."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from streetvision_kernels.cublaslt import CublasLt
from streetvision_kernels.cublaslt_oracle import matmul_oracle
from streetvision_kernels.multiprocessors import assigned, look, looking_glass, multiprocessors_in

from streetvision.models.network import LoadedModel, build, tiny_config
from streetvision.runner.partition import Partition
from streetvision.runner.torch_runner import TorchRunner

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

DEVICE = torch.device("cuda")
CONFIG = replace(
    tiny_config(depth=3), architecture_kwargs={**tiny_config(depth=3).architecture_kwargs, "init_values": 1.0}
)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), dtype=np.uint8)
# Other algorithms for other numbers of multiprocessors may sum in another order.
BOUND = 2e-2


@pytest.fixture(scope="module")
def partition() -> Iterator[Partition]:
    with Partition(DEVICE, serving=0.8) as made:
        yield made
        gc.collect()  # graphs end before the streams that they were captured on


def looked(stream: torch.cuda.Stream) -> set[int]:
    seen = looking_glass(DEVICE)
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        look(seen)
    return set(multiprocessors_in(seen, stream))


def looked_in_graph(stream: torch.cuda.Stream) -> set[int]:
    looked(stream)
    seen = looking_glass(DEVICE)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        look(seen)
    with pytest.raises(ValueError, match="has not run"):
        multiprocessors_in(seen, stream)
    with torch.cuda.stream(stream):
        graph.replay()
    return set(multiprocessors_in(seen, stream))


def test_together_the_shares_are_the_whole_device(partition: Partition) -> None:
    total = torch.cuda.get_device_properties(DEVICE).multi_processor_count
    assert partition.serving_multiprocessors + partition.background_multiprocessors == total
    assert abs(partition.serving_multiprocessors - 0.8 * total) <= 8


def test_work_of_the_two_streams_meets_no_common_multiprocessor(partition: Partition) -> None:
    serving, background = looked(partition.serving), looked(partition.background)
    assert len(serving) == partition.serving_multiprocessors
    assert len(background) == partition.background_multiprocessors
    assert not serving & background


def test_a_graph_stays_on_the_share_that_it_was_captured_on(partition: Partition) -> None:
    assert looked_in_graph(partition.serving) == looked(partition.serving)
    assert looked_in_graph(partition.background) == looked(partition.background)


def test_other_streams_keep_the_whole_device(partition: Partition) -> None:
    everywhere = looked(torch.cuda.default_stream(DEVICE))
    assert everywhere == looked(partition.serving) | looked(partition.background)


def test_two_shares_of_one_split_work_at_once(partition: Partition) -> None:
    seen = [looking_glass(DEVICE) for _ in range(2)]
    torch.cuda.synchronize()
    streams = (partition.serving, partition.background)
    for glass, stream in zip(seen, streams, strict=True):
        with torch.cuda.stream(stream):
            for _ in range(20):
                look(glass)
    serving, background = (multiprocessors_in(*looked_at) for looked_at in zip(seen, streams, strict=True))
    assert not serving & background


def test_a_runner_warmed_on_a_share_answers_as_on_the_whole_device(partition: Partition) -> None:
    torch.manual_seed(0)
    net = build(CONFIG)
    torch.nn.init.normal_(net.head.fc.weight, std=192**-0.5)
    state = net.state_dict()

    def runner(stream: torch.cuda.Stream) -> TorchRunner:
        copy = build(CONFIG)
        copy.load_state_dict(state)
        with torch.cuda.stream(stream):
            made = TorchRunner(LoadedModel(copy, CONFIG), device="cuda", buckets=(1, 8), fast=True, precision="bf16")
            made.warmup()
        return made

    expected = runner(torch.cuda.default_stream(DEVICE)).run(IMAGES)
    shared = runner(partition.serving)
    with torch.cuda.stream(partition.serving):
        got = shared.run(IMAGES)
        alone = shared.run(IMAGES[:1])
    np.testing.assert_allclose(got.logits, expected.logits, rtol=0, atol=BOUND)
    np.testing.assert_allclose(alone.logits, expected.logits[:1], rtol=0, atol=BOUND)


def test_products_are_chosen_for_the_share_and_right(partition: Partition) -> None:
    torch.manual_seed(0)
    a, weight = (torch.randn(shape, device=DEVICE).bfloat16() for shape in ((6432, 768), (2304, 768)))
    out = torch.empty(6432, 2304, dtype=torch.bfloat16, device=DEVICE)
    torch.cuda.synchronize()
    with torch.cuda.stream(partition.serving):
        assert assigned(DEVICE) == partition.serving_multiprocessors
        CublasLt(DEVICE).matmul(a, weight, out)
    torch.cuda.synchronize()
    exact = matmul_oracle(a.double(), weight.double())
    assert float((out.double() - exact).norm() / exact.norm()) < 2e-3


def test_training_on_a_share_learns(partition: Partition) -> None:
    """Backward runs in another thread, on the streams of the forward."""
    with torch.cuda.stream(partition.background):
        torch.manual_seed(0)
        layer = torch.nn.Linear(64, 1).cuda()
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.05, fused=True)
        inputs = torch.randn(256, 64, device=DEVICE)
        losses = []
        for _ in range(50):
            loss = (layer(inputs).squeeze(-1) - inputs[:, 0]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
    assert losses[-1] < 0.1 * losses[0]


def test_a_closed_partition_is_forgotten_and_another_can_be_made() -> None:
    for share in (0.5, 0.8):
        with Partition(DEVICE, serving=share, priority=-1) as made:
            stream = made.serving
            assert len(looked(stream)) == made.serving_multiprocessors
    assert assigned(DEVICE) == 0
    assert (
        len(looked(torch.cuda.default_stream(DEVICE))) == torch.cuda.get_device_properties(DEVICE).multi_processor_count
    )
