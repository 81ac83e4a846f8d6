"""The attention on a real GPU in every shape that it may take: the same bits, and one of them chosen and remembered."""

from __future__ import annotations

import pytest
import torch
from streetvision_kernels import attention as kernel
from streetvision_kernels.attention import attention, chosen_shape
from streetvision_kernels.attention_shapes import SHAPES, ranked
from streetvision_kernels.chip import chip_of, resident

from streetvision.runner.cuda_forward import has_float8

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

DEVICE = torch.device("cuda")
TOKENS = 261
"""More than the kernel for few tokens takes, which has tests of its own."""


def inputs(images: int, heads: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(images)
    turn = torch.randn(TOKENS, 32, device=DEVICE) * 3
    qkv = torch.randn(images * TOKENS, 192 * heads, device=DEVICE).bfloat16()
    return qkv, turn.cos().half(), turn.sin().half()


@pytest.mark.parametrize("float8", [False, True])
@pytest.mark.parametrize(("images", "heads"), [(1, 6), (3, 12), (40, 16)])
def test_every_shape_gives_the_same_bits(images: int, heads: int, float8: bool) -> None:
    if float8 and not has_float8(DEVICE):
        pytest.skip("no float8")
    given, chip = inputs(images, heads), chip_of(DEVICE)
    answers = {}
    for shape in SHAPES:
        # Without Hopper's products a limit of registers makes a program spill: right, and nothing that is tried.
        if not resident(chip, shape.demand(chip)) or (shape.registers and chip.capability < (9, 0)):
            continue
        kind = torch.float8_e4m3fn if float8 else torch.bfloat16
        out = torch.empty(images * TOKENS, 64 * heads, device=DEVICE, dtype=kind)
        attention(*given, out, tokens=TOKENS, shape=shape, inverse8=40.0 if float8 else 1.0)
        answers[shape] = out.view(torch.uint8)
    assert len(answers) >= 4
    first = next(iter(answers.values()))
    assert [shape for shape, answer in answers.items() if not torch.equal(answer, first)] == []


@pytest.mark.parametrize("tokens", [201, 581, 2309])
def test_keys_rotated_beforehand_change_nothing_but_the_time(tokens: int) -> None:
    torch.manual_seed(tokens)
    turn = torch.randn(tokens, 32, device=DEVICE) * 3
    qkv = torch.randn(2 * tokens, 192 * 6, device=DEVICE).bfloat16()
    within, before = (torch.empty(2 * tokens, 64 * 6, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    attention(qkv, turn.cos().half(), turn.sin().half(), within, tokens=tokens, apart=False)
    attention(qkv, turn.cos().half(), turn.sin().half(), before, tokens=tokens, apart=True)
    torch.testing.assert_close(within, before, rtol=2e-2, atol=2e-3)


def test_a_size_is_tried_once_and_remembered(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
    monkeypatch.setattr(kernel, "_chosen", {})
    given = inputs(5, 6)
    out = torch.empty(5 * TOKENS, 64 * 6, device=DEVICE, dtype=torch.bfloat16)
    attention(*given, out, tokens=TOKENS)
    chosen = chosen_shape(given[0], out, tokens=TOKENS)
    assert chosen in ranked(chip_of(DEVICE), places=30, tokens=TOKENS)
    kernel._chosen.clear()
    monkeypatch.setattr(kernel, "fastest", lambda *_, **__: pytest.fail("it was timed again"))
    attention(*given, out, tokens=TOKENS)
    assert chosen_shape(given[0], out, tokens=TOKENS) == chosen


def test_captured_before_it_was_tried_it_takes_what_the_model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    given = inputs(2, 6)
    out, expected = (torch.empty(2 * TOKENS, 64 * 6, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    attention(*given, expected, tokens=TOKENS)
    first = ranked(chip_of(DEVICE), places=12, tokens=TOKENS)[0]
    attention(*given, out, tokens=TOKENS, shape=first)  # compiled: a module cannot be loaded during a capture
    monkeypatch.setattr(kernel, "_chosen", {})
    graph = torch.cuda.CUDAGraph()
    out.zero_()
    with torch.cuda.graph(graph):
        attention(*given, out, tokens=TOKENS)
    assert kernel._chosen == {}
    graph.replay()
    assert torch.equal(out, expected)
