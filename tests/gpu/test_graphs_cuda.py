"""A backbone's step as CUDA graphs: the same answers and gradients as without, while other threads use the GPU."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch

from streetvision.models.network import StreetVisionNet, build, tiny_config
from streetvision.training.graphs import GraphedForward

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

DEVICE = torch.device("cuda")


def network() -> StreetVisionNet:
    torch.manual_seed(0)
    return build(replace(tiny_config(depth=2, width=64), input_size=64)).to(DEVICE).train()


def weights_of(net: StreetVisionNet) -> list[torch.Tensor]:
    return [value for value in net.backbone.parameters() if value.requires_grad]


def gradients(net: StreetVisionNet) -> list[torch.Tensor]:
    return [value.grad.clone() for value in weights_of(net) if value.grad is not None]


@pytest.mark.parametrize("half", [False, True])
def test_answers_and_gradients_are_those_of_the_plain_step(half: bool) -> None:
    net, plain = network(), network()
    with torch.autocast("cuda", torch.bfloat16, enabled=half):
        graphed = GraphedForward(net.tokens, weights_of(net), torch.randn(4, 3, 64, 64, device=DEVICE))
        for _ in range(3):
            pixels = torch.randn(4, 3, 64, 64, device=DEVICE)
            ours, theirs = graphed(pixels), plain.tokens(pixels)
            torch.testing.assert_close(ours, theirs)
            for tokens in (ours, theirs):
                torch.autograd.backward((tokens.float() ** 2).sum())
    for mine, other in zip(gradients(net), gradients(plain), strict=True):
        torch.testing.assert_close(mine, other, rtol=2e-2 if half else 1e-3, atol=2e-2 if half else 1e-3)


def test_weights_that_change_in_place_are_followed() -> None:
    net = network()
    pixels = torch.randn(2, 3, 64, 64, device=DEVICE)
    graphed = GraphedForward(net.tokens, weights_of(net), pixels)
    before = graphed(pixels).detach().clone()
    with torch.no_grad():
        for value in weights_of(net):
            value.mul_(1.5)
    after = graphed(pixels).detach().clone()
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, net.tokens(pixels).detach())


def test_frozen_weights_get_no_gradient() -> None:
    net = network()
    net.backbone.requires_grad_(False)
    net.backbone.blocks[-1].requires_grad_(True)
    pixels = torch.randn(2, 3, 64, 64, device=DEVICE)
    torch.autograd.backward(GraphedForward(net.tokens, weights_of(net), pixels)(pixels).sum())
    assert net.backbone.patch_embed.proj.weight.grad is None
    assert any(value.grad is not None for value in net.backbone.blocks[-1].parameters())


def test_other_threads_may_use_the_gpu_while_it_is_captured() -> None:
    net, stop, problems = network(), threading.Event(), list[RuntimeError]()

    def work() -> None:
        try:
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            while not stop.is_set():
                with torch.cuda.stream(stream):
                    block = torch.empty(1 << 22, dtype=torch.uint8, pin_memory=True).to(DEVICE, non_blocking=True)
                    assert block.float().sum() is not None
        except RuntimeError as error:
            problems.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        graphed = GraphedForward(net.tokens, weights_of(net), torch.randn(2, 3, 64, 64, device=DEVICE))
    finally:
        stop.set()
        thread.join()
    assert not problems
    pixels = torch.randn(2, 3, 64, 64, device=DEVICE)
    torch.testing.assert_close(graphed(pixels), net.tokens(pixels))
    assert graphed.fits(pixels)
    assert not graphed.fits(pixels[:1])
