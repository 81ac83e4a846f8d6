"""The fast forward on a real GPU: right, the same in any batch, judged before it takes float8, at home in a runner."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.folder import bundled_checkpoint
from streetvision.models.network import LoadedModel, StreetVisionNet, build, load, tiny_config
from streetvision.runner.calibration_images import calibration_images
from streetvision.runner.choose import choose_fast
from streetvision.runner.cuda_forward import FastForward, has_float8
from streetvision.runner.precision import MAX_MOVE
from streetvision.runner.torch_runner import TorchRunner

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

DEVICE = torch.device("cuda")
NEEDS_FLOAT8 = pytest.mark.skipif(not torch.cuda.is_available() or not has_float8(DEVICE), reason="no float8")
WIDTHS = {"tiny": 192, "small": 384, "base": 768}
GIB = 2**30


def described(size: str, side: int = 224) -> ModelConfig:
    if size == "tiny":
        base = replace(tiny_config(depth=4), input_size=side)
        return replace(base, architecture_kwargs={**base.architecture_kwargs, "init_values": 0.1})
    head = HeadConfig(embedding_dim=2 * WIDTHS[size])
    name = f"vit_{size}_patch16_dinov3"
    kwargs = {"init_values": 0.1, "depth": 4, "qkv_bias": size == "base"}
    base = replace(tiny_config(), input_size=side, temperature=1.3)
    return replace(base, architecture=name, architecture_kwargs=kwargs, head=head)


def network(size: str, side: int = 224) -> StreetVisionNet:
    torch.manual_seed(0)
    net = build(described(size, side)).eval().requires_grad_(False)
    torch.nn.init.normal_(net.head.fc.weight, std=WIDTHS[size] ** -0.5)
    return net


def images(count: int, seed: int = 0, side: int = 224) -> torch.Tensor:
    """Coarse blocks with noise: unlike plain noise, no two embed alike."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 206, (count, side // 8, side // 8, 3), generator=generator)
    fine = torch.randint(0, 50, (count, side, side, 3), generator=generator)
    return (coarse.repeat_interleave(8, 1).repeat_interleave(8, 2) + fine).to(torch.uint8).cuda()


@pytest.mark.parametrize("count", [1, 2, 5, 33])
@pytest.mark.parametrize("size", WIDTHS)
@torch.inference_mode()
def test_it_is_closer_to_float32_than_timm_in_bfloat16_or_nearly(size: str, count: int) -> None:
    net, given = network(size).cuda(), images(count)
    logits, pooled = net.forward_uint8(given)
    got, embedded = FastForward(net, DEVICE)(given)
    slow = network(size).for_inference("cuda", torch.bfloat16).forward_uint8(given)[1]
    bound = float((slow - pooled).norm() / pooled.norm())
    assert float((embedded - pooled).norm() / pooled.norm()) < 1.3 * bound < 2e-2
    torch.testing.assert_close(got, logits, rtol=0, atol=0.05)


@pytest.mark.parametrize(
    ("size", "side"), [("tiny", 256), ("tiny", 320), ("base", 384), ("tiny", 512), ("small", 768), ("base", 768)]
)
@torch.inference_mode()
def test_it_is_as_close_at_other_sizes(size: str, side: int) -> None:
    given = images(3, side=side)
    net = network(size, side).cuda()
    logits, pooled = net.forward_uint8(given)
    forward = FastForward(net, DEVICE)
    got, embedded = forward(given)
    slow = network(size, side).for_inference("cuda", torch.bfloat16).forward_uint8(given)[1]
    bound = float((slow - pooled).norm() / pooled.norm())
    assert float((embedded - pooled).norm() / pooled.norm()) < 1.3 * bound < 2e-2
    torch.testing.assert_close(got, logits, rtol=0, atol=0.05)
    for count in (1, 2):
        part = forward(given[:count])
        assert torch.equal(part[0], got[:count]) and torch.equal(part[1], embedded[:count])


@NEEDS_FLOAT8
@torch.inference_mode()
def test_float8_is_right_over_many_tokens() -> None:
    given = images(8, side=384)
    net = network("small", 384).cuda()
    pooled = net.forward_uint8(given)[1]
    got = FastForward(net, DEVICE, peaks=FastForward(net, DEVICE).observe([given]))(given)[1]
    assert float((got - pooled).norm() / pooled.norm()) < 0.15


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("vit_small_patch16_dinov3_qkvb", 384),
        ("vit_small_plus_patch16_dinov3", 384),
        ("vit_huge_plus_patch16_dinov3", 1280),
        ("vit_small_patch16_lingbot", 384),
        ("vit_giant_patch16_lingbot", 1536),
    ],
)
@torch.inference_mode()
def test_timms_relatives_of_dinov3_are_served(name: str, width: int) -> None:
    """EUPE, SwiGLU and LingBot-Vision, with weights that let biases and both halves of the MLP matter."""
    if not timm.is_model(name):
        pytest.skip(f"timm {timm.__version__} has no {name}")
    kwargs = {"init_values": 0.1, "depth": 3}
    head = HeadConfig("cls_mean_attention", 3 * width)
    config = replace(tiny_config(), architecture=name, architecture_kwargs=kwargs, head=head)
    torch.manual_seed(0)
    net = build(config).eval().requires_grad_(False)
    for parameter, value in net.backbone.named_parameters():
        if parameter.endswith(("q_bias", "v_bias")):
            value.normal_(std=0.3)
        if parameter.endswith(("fc1_g.weight", "fc1_x.weight")):
            value.normal_(std=width**-0.5)
    slow = copy.deepcopy(net).for_inference("cuda", torch.bfloat16).forward_uint8(images(5))[1]
    net = net.cuda()
    logits, pooled = net.forward_uint8(images(5))
    forward = FastForward(net, DEVICE)
    got, embedded = forward(images(5))
    bound = float((slow - pooled).norm() / pooled.norm())
    assert float((embedded - pooled).norm() / pooled.norm()) < 1.3 * bound < 2e-2
    torch.testing.assert_close(got, logits, rtol=0, atol=0.05)
    if has_float8(DEVICE):
        small = FastForward(net, DEVICE, peaks=forward.observe([images(5)]))(images(5))[1]
        assert float((small - pooled).norm() / pooled.norm()) < 0.15


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("float8", [False, pytest.param(True, marks=NEEDS_FLOAT8)])
@pytest.mark.parametrize("size", WIDTHS)
@torch.inference_mode()
def test_an_image_gets_the_same_bits_in_any_batch(size: str, float8: bool, seed: int) -> None:
    net, given = network(size), images(64, seed)
    forward = FastForward(net, DEVICE)
    if float8:
        forward = FastForward(net, DEVICE, peaks=forward.observe([given]))
    logits, pooled = forward(given)
    for count in (1, 2, 3, 7, 16, 33, 48):
        part = forward(given[:count])
        assert torch.equal(part[0], logits[:count]), count
        assert torch.equal(part[1], pooled[:count]), count


@NEEDS_FLOAT8
@torch.inference_mode()
def test_float8_serves_the_bundled_model_only_if_its_gate_allows() -> None:
    net = load(bundled_checkpoint()).net
    chosen = choose_fast(net, DEVICE, "auto")
    assert "over 1024 pictures" in chosen.precision.reason
    exact = choose_fast(net, DEVICE, "bf16")
    assert exact.precision.name == "bf16"
    pictures = torch.from_numpy(calibration_images(net.input_size)).cuda()
    ours, reference = (
        torch.sigmoid(torch.cat([forward(pictures[i : i + 64])[0] for i in range(0, 1024, 64)]))
        for forward in (chosen.forward, exact.forward)
    )
    assert float((ours - reference).abs().quantile(0.999)) <= MAX_MOVE
    assert chosen.precision.name == ("fp8" if "passes" in chosen.precision.reason else "bf16")


@NEEDS_FLOAT8
@torch.inference_mode()
def test_a_model_that_float8_breaks_stays_in_bfloat16() -> None:
    net = load(bundled_checkpoint()).net
    net.scale *= 300.0
    chosen = choose_fast(net, DEVICE, "auto")
    assert chosen.precision.name == "bf16"
    assert "fails its gate" in chosen.precision.reason
    assert choose_fast(net, DEVICE, "fp8").precision.name == "fp8"


def test_two_runners_live_side_by_side_and_one_warms_up_while_the_other_serves() -> None:
    first = TorchRunner(bundled_checkpoint(), device="cuda", buckets=(1, 8), precision="bf16")
    first.warmup()
    shown = images(8, side=first.input_size).cpu().numpy()
    expected = first.run(shown).logits
    second = TorchRunner(LoadedModel(network("small"), described("small")), device="cuda", buckets=(1, 4, 8))
    with ThreadPoolExecutor(1) as pool:
        warm = pool.submit(second.warmup)
        while not warm.done():
            np.testing.assert_array_equal(first.run(shown).logits, expected)
        assert sorted(warm.result()) == [1, 4, 8]
    given = images(8).cpu().numpy()
    ours = second.run(given).logits
    np.testing.assert_array_equal(first.run(shown).logits, expected)
    np.testing.assert_array_equal(second.run(given).logits, ours)


def test_the_runner_says_what_serves() -> None:
    runner = TorchRunner(bundled_checkpoint(), device="cuda", buckets=(1,), precision="auto")
    runner.warmup()
    assert runner.fast and not runner.compiled
    assert runner.precision.name in ("fp8", "bf16")
    assert "gate" in runner.precision.reason or "has no float8" in runner.precision.reason
    slow = TorchRunner(bundled_checkpoint(), device="cuda", buckets=(1,), fast=False, compile=False)
    slow.warmup()
    assert not slow.fast and slow.precision.name == "bfloat16"
    given = images(1, side=runner.input_size).cpu().numpy()
    np.testing.assert_allclose(runner.run(given).logits, slow.run(given).logits, atol=0.1)


def test_vit_large_serves_in_less_than_four_gib() -> None:
    head = HeadConfig(embedding_dim=2048)
    config = replace(tiny_config(), architecture="vit_large_patch16_dinov3", architecture_kwargs={}, head=head)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    runner = TorchRunner(LoadedModel(build(config), config), device="cuda", buckets=(1, 8, 64))
    runner.warmup()
    runner.run(images(64).cpu().numpy())
    assert torch.cuda.max_memory_allocated() - before < 4 * GIB
