"""The CUDA runner end to end, against the same weights in float32 on the CPU. No plugin needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from streetvision.engine.types import RunnerFailure
from streetvision.models.network import LoadedModel, StreetVisionNet, build, tiny_config
from streetvision.runner.torch_runner import TorchRunner

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

CONFIG = replace(tiny_config(depth=3), temperature=1.4, threshold=0.4)
BUCKETS = (1, 4, 8)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), dtype=np.uint8)
# bfloat16 keeps 8 bits: a few blocks of rounding on logits of size 1.
PRECISION = 5e-2
# Other batch sizes take other GEMM kernels, which sum in another order.
BATCH_BOUND = 2e-2


def network() -> StreetVisionNet:
    torch.manual_seed(0)
    net = build(replace(CONFIG, architecture_kwargs={**CONFIG.architecture_kwargs, "init_values": 1.0}))
    with torch.no_grad():
        net.head.fc.weight.normal_(std=384**-0.5)
    return net


@pytest.fixture(scope="module", params=["fast", "compiled", "eager"])
def runner(request: pytest.FixtureRequest) -> TorchRunner:
    mode: str = request.param
    runner = TorchRunner(
        LoadedModel(network(), CONFIG),
        device="cuda",
        buckets=BUCKETS,
        compile=mode == "compiled",
        fast=mode == "fast",
        precision="bf16",
    )
    assert sorted(runner.warmup()) == list(BUCKETS)
    return runner


def test_it_answers_like_float32_on_the_cpu(runner: TorchRunner) -> None:
    with torch.inference_mode():
        logits, embeddings = network().eval().forward_uint8(torch.from_numpy(IMAGES.copy()))
    got = runner.run(IMAGES)
    np.testing.assert_allclose(got.logits, logits.numpy(), rtol=0, atol=PRECISION)
    relative = np.linalg.norm(got.embeddings - embeddings.numpy()) / np.linalg.norm(embeddings.numpy())
    assert relative < 2e-2


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
def test_padding_and_batch_size_do_not_change_an_answer(runner: TorchRunner, count: int) -> None:
    full, part = runner.run(IMAGES), runner.run(IMAGES[:count])
    assert part.logits.shape == (count,)
    np.testing.assert_allclose(part.logits, full.logits[:count], rtol=0, atol=BATCH_BOUND)
    runner.run(IMAGES[::-1].copy())
    again = runner.run(IMAGES[:count])
    np.testing.assert_array_equal(again.logits, part.logits)
    np.testing.assert_array_equal(again.embeddings, part.embeddings)


def test_weights_that_give_nan_fail_the_batch() -> None:
    net = network()
    with torch.no_grad():
        net.backbone.get_parameter("blocks.1.mlp.fc1.weight").fill_(float("inf"))
    runner = TorchRunner(LoadedModel(net, CONFIG), device="cuda", buckets=(1,), compile=False)
    with pytest.raises(RunnerFailure, match="not finite"):
        runner.warmup()
