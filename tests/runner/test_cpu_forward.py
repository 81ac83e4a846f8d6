"""The small forward: timm's answers over oneDNN's products, in every precision and any batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import StreetVisionNet, build, tiny_config
from streetvision.runner import cpu_forward
from streetvision.runner.cpu_forward import SmallForward, missing_for_bfloat16, missing_for_int8, missing_for_small

NEEDS_BFLOAT16 = pytest.mark.skipif(missing_for_bfloat16() is not None, reason=str(missing_for_bfloat16()))
NEEDS_INT8 = pytest.mark.skipif(missing_for_int8() is not None, reason=str(missing_for_int8()))
PRECISIONS = ["float32", pytest.param("bf16", marks=NEEDS_BFLOAT16), pytest.param("int8", marks=NEEDS_INT8)]
# Of the embedding's length: sums in another order; 8 bits a value; 8 bits over the range of a product's whole input.
APART = {"float32": 1e-5, "bf16": 2e-2, "int8": 6e-2}
BATCH_BOUND = 1e-5
"""Logits, in every precision: what differs between batch sizes is the order of float32 sums alone."""


def described(width: int = 128, *, bias: bool = False, side: int = 64) -> ModelConfig:
    base = tiny_config(depth=3, width=width)
    kwargs = {**base.architecture_kwargs, "init_values": 0.5, "qkv_bias": bias}
    head = HeadConfig(embedding_dim=2 * width)
    return replace(base, architecture_kwargs=kwargs, input_size=side, head=head, temperature=1.6, threshold=0.3)


def gated() -> ModelConfig:
    base = described()
    return replace(base, architecture_kwargs={**base.architecture_kwargs, "swiglu_mlp": True})


def attending() -> ModelConfig:
    base = described()
    return replace(base, head=HeadConfig("cls_mean_attention", 384))


def network(config: ModelConfig) -> StreetVisionNet:
    torch.manual_seed(0)
    net = build(config).eval().requires_grad_(False)
    for name, weight in net.backbone.named_parameters():
        if name.endswith(("norm1.bias", "norm2.bias", "q_bias", "v_bias")):
            weight.normal_(std=0.3)
    torch.nn.init.normal_(net.head.fc.weight, std=config.head.embedding_dim**-0.5)
    return net


def images(count: int, side: int = 64) -> torch.Tensor:
    """Coarse blocks with noise: unlike plain noise, no two embed alike."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randint(0, 206, (count, side // 8, side // 8, 3), generator=generator)
    fine = torch.randint(0, 50, (count, side, side, 3), generator=generator)
    return (coarse.repeat_interleave(8, 1).repeat_interleave(8, 2) + fine).to(torch.uint8)


def forward(net: StreetVisionNet, precision: str, given: torch.Tensor) -> SmallForward:
    if precision == "int8":
        return SmallForward(net, ranges=SmallForward(net).watch(list(torch.split(given, 4)))[1])
    return SmallForward(net, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)


def answers_as_timm_does(net: StreetVisionNet, precision: str) -> None:
    given = images(9, net.input_size)
    logits, pooled = net.forward_uint8(given)
    got, embedded = forward(net, precision, given)(given)
    assert got.shape == (9,) and got.dtype == embedded.dtype == torch.float32
    assert float((embedded - pooled).norm() / pooled.norm()) < APART[precision]
    torch.testing.assert_close(got, logits, rtol=0, atol=5 * APART[precision])
    assert float(logits.std()) > 5 * float((got - logits).abs().mean()), "an answer that knows no image"


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    torch.set_num_threads(2)
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "config",
    [described(), described(64), described(192, bias=True), described(side=96), attending(), gated()],
    ids=["two heads", "one head", "biased", "larger pictures", "attending", "gated"],
)
def test_it_answers_as_timm_does(config: ModelConfig, precision: str) -> None:
    answers_as_timm_does(network(config), precision)


def test_without_layer_scale_nothing_is_folded() -> None:
    config = described()
    kwargs = {name: value for name, value in config.architecture_kwargs.items() if name != "init_values"}
    net, given = network(replace(config, architecture_kwargs={**kwargs, "init_values": 1.0})), images(3)
    for block in net.backbone.blocks:
        block.gamma_1 = block.gamma_2 = None
    torch.testing.assert_close(SmallForward(net)(given)[0], net.forward_uint8(given)[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_image_gets_the_same_answer_in_any_batch(precision: str) -> None:
    config = described(192, side=224)
    net, given = network(config), images(16, 224)
    serves = forward(net, precision, given[:8])
    whole = serves(given)
    for count in (1, 2, 3, 7, 8):
        part = serves(given[:count])
        torch.testing.assert_close(part[0], whole[0][:count], rtol=0, atol=BATCH_BOUND)
        torch.testing.assert_close(part[1], whole[1][:count], rtol=0, atol=1e-4)


@NEEDS_BFLOAT16
def test_many_tokens_are_attended_to_a_few_pictures_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    net, given = network(described()), images(5)
    whole = forward(net, "bf16", given)(given)
    monkeypatch.setattr(cpu_forward, "MOST_SHARES", 2 * 2 * 21**2)  # two pictures of two heads
    torch.testing.assert_close(forward(net, "bf16", given)(given), whole, rtol=0, atol=BATCH_BOUND)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_network_and_the_images_stay_as_they_were(precision: str) -> None:
    net, given = network(described()), images(2)
    before, pictures = net.forward_uint8(given)[0], given.clone()
    serves = forward(net, precision, given)
    first = serves(given)[0]
    assert torch.equal(serves(given)[0], first)
    assert torch.equal(net.forward_uint8(given)[0], before)
    assert torch.equal(given, pictures)


@NEEDS_INT8
def test_what_is_brighter_than_the_calibration_saturates_and_nothing_overflows() -> None:
    net = network(described())
    narrow = SmallForward(net, ranges=SmallForward(net).watch([torch.full((1, 64, 64, 3), 128, dtype=torch.uint8)])[1])
    assert torch.isfinite(narrow(images(4))[0]).all()


def test_watching_finds_what_every_product_spans() -> None:
    net, given = network(described()), images(4)
    logits, ranges = SmallForward(net).watch([given[:2], given[2:]])
    torch.testing.assert_close(logits, net.forward_uint8(given)[0], rtol=0, atol=1e-4)
    assert set(ranges) == {f"{index}.{name}" for index in range(3) for name in ("qkv", "proj", "fc1", "fc2")}
    assert all(bool((low <= high).all()) for low, high in ranges.values())
    assert ranges["0.fc2"][0].shape == (512,)
    wider = SmallForward(net).watch([given, 255 - given])[1]
    assert all(bool((wider[name][0] <= ranges[name][0] + 1e-5).all()) for name in ranges)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="of 21 tokens"):
        SmallForward(network(described()))(images(1, 96))


def test_a_network_that_is_no_dinov3_is_refused() -> None:
    net = network(described())
    attention: Any = net.backbone.blocks[1].attn
    attention.rotate_half = False
    assert missing_for_small(net) == "its attention has no heads of 64 channels"
    with pytest.raises(ValueError, match="cannot run this network"):
        SmallForward(net)


def test_what_the_processor_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_vnni_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    assert missing_for_bfloat16() == "the processor has no bfloat16 products (avx512_bf16)"
    assert missing_for_int8() == "the processor has no int8 products (avx512_vnni)"
    monkeypatch.setattr(torch._C, "_has_mkldnn", False)
    assert missing_for_small(network(described())) == "this build of torch has no oneDNN"
