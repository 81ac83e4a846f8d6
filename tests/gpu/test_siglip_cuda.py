"""SigLIP's tower on a real GPU: its kernels, the forward against float32, the same bits in any batch, in a runner."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import LoadedModel, StreetVisionNet, build
from streetvision.runner.choose import choose_fast
from streetvision.runner.cuda_forward import FastForward, has_float8
from streetvision.runner.torch_runner import TorchRunner

from ..kernels.case_rows import cuda_rows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

DEVICE = torch.device("cuda")
NEEDS_FLOAT8 = pytest.mark.skipif(not torch.cuda.is_available() or not has_float8(DEVICE), reason="no float8")
# Rounded on the way are queries and the weights of a softmax, and in the pooling what a head has pooled.
BOUNDS = {
    "attention": {"bfloat16": 5e-3, "float16": 7e-4, "float8_e4m3fn": 3e-2},
    "pool": {"bfloat16": 6e-3, "float16": 8e-4},
    "head": {"bfloat16": 1e-5},
    "unit": {"bfloat16": 1e-5},
    "positions": {"bfloat16": 0.0},
}
HEADS = {
    "one": HeadConfig("cls_linear", 768),
    "prompts": HeadConfig("cls_cosine", 768, classes=20, positive=tuple(range(9))),
}


def described(head: str = "one", side: int = 224) -> ModelConfig:
    config = ModelConfig("tower", "1.0.0", "vit_base_patch16_siglip_224", {"depth": 4}, side, head=HEADS[head])
    return replace(config, temperature=1.3)


def network(config: ModelConfig) -> StreetVisionNet:
    torch.manual_seed(0)
    net = build(config).eval().requires_grad_(False)
    for name, weight in net.backbone.named_parameters():
        if name.endswith("bias"):
            weight.normal_(std=0.2)
    nn.init.normal_(net.backbone.pos_embed, std=0.3)
    nn.init.normal_(net.backbone.attn_pool.latent, std=1.5)
    nn.init.normal_(net.head.fc.weight, std=1.0 if config.head.kind == "cls_cosine" else 768**-0.5)
    return net


def images(count: int, seed: int = 0, side: int = 224) -> torch.Tensor:
    """Coarse blocks with noise: unlike plain noise, no two embed alike."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 206, (count, side // 8, side // 8, 3), generator=generator)
    fine = torch.randint(0, 50, (count, side, side, 3), generator=generator)
    return (coarse.repeat_interleave(8, 1).repeat_interleave(8, 2) + fine).to(torch.uint8).cuda()


def test_every_kernel_matches_its_float64_oracle() -> None:
    rows = {row["case"]: row["error"] for row in cuda_rows("siglip_cases")}
    assert len(rows) == 29
    bounds = {case: BOUNDS[case.split("-")[0]][case.split("-")[1]] for case in rows}
    assert {case: error for case, error in rows.items() if not error <= bounds[case]} == {}


@pytest.mark.parametrize(("head", "side", "count"), [("one", 224, 5), ("prompts", 224, 33), ("one", 384, 3)])
@torch.inference_mode()
def test_it_is_closer_to_float32_than_timm_in_bfloat16_or_nearly(head: str, side: int, count: int) -> None:
    given, config = images(count, side=side), described(head, side)
    net = network(config).cuda()
    logits, pooled = net.forward_uint8(given)
    got, embedded = FastForward(net, DEVICE)(given)
    slow = copy.deepcopy(net).for_inference("cuda", torch.bfloat16).forward_uint8(given)[1]
    bound = float((slow - pooled).norm() / pooled.norm())
    assert float((embedded - pooled).norm() / pooled.norm()) < 1.5 * bound < 3e-2
    torch.testing.assert_close(got, logits, rtol=0, atol=0.1)


@pytest.mark.parametrize("float8", [False, pytest.param(True, marks=NEEDS_FLOAT8)])
@torch.inference_mode()
def test_an_image_gets_the_same_bits_in_any_batch(float8: bool) -> None:
    net, given = network(described("prompts")), images(70)
    forward = FastForward(net, DEVICE)
    if float8:
        exact = forward(given)[1]
        forward = FastForward(net, DEVICE, peaks=forward.observe([given]))
        assert float((forward(given)[1] - exact).norm() / exact.norm()) < 0.15
    logits, pooled = forward(given)
    for count in (1, 7, 64, 65):
        part = forward(given[:count])
        assert torch.equal(part[0], logits[:count]), count
        assert torch.equal(part[1], pooled[:count]), count


def test_the_runner_serves_it_in_graphs() -> None:
    config = described("prompts")
    net = network(config)
    with torch.inference_mode():
        chosen = choose_fast(copy.deepcopy(net), DEVICE, "default")
        expected = chosen.forward(images(4))[0].cpu().numpy()
    runner = TorchRunner(LoadedModel(net, config), device="cuda", buckets=(1, 4))
    assert sorted(runner.warmup()) == [1, 4]
    assert runner.fast and not runner.compiled and runner.precision.name == "bf16"
    given = images(4).cpu().numpy()
    np.testing.assert_array_equal(runner.run(given).logits, expected)
    np.testing.assert_array_equal(runner.run(given[2:3]).logits, expected[2:3])


def test_other_heads_and_sizes_are_served_by_timm() -> None:
    config = replace(described(), head=HeadConfig("cls_mean_linear", 2 * 768))
    torch.manual_seed(0)
    runner = TorchRunner(LoadedModel(build(config), config), device="cuda", buckets=(2,), compile=False)
    runner.warmup()
    assert not runner.fast
    assert np.isfinite(runner.run(images(2).cpu().numpy()).logits).all()
