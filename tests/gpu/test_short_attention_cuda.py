"""The attention over few tokens on a Hopper: near float64, and the same bits however its work is divided."""

from __future__ import annotations

import pytest
import torch
from streetvision_kernels.attention_oracle import attention_oracle
from streetvision_kernels.short_attention import fits, short_attention

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() or torch.cuda.get_device_capability() != (9, 0),
        reason="no Hopper GPU: run make test-gpu on a machine with an H100 or H200",
    ),
]

DEVICE = torch.device("cuda")
SCALE8 = 16.0


def inputs(
    images: int, heads: int, tokens: int, dtype: torch.dtype = torch.bfloat16
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(images + tokens)
    turn = torch.randn(tokens, 32, device=DEVICE) * 3
    qkv = torch.randn(images * tokens, 192 * heads, device=DEVICE).to(dtype)
    return qkv, turn.cos().half(), turn.sin().half()


def answer(
    given: tuple[torch.Tensor, torch.Tensor, torch.Tensor], tokens: int, tiles: int, *, pdl: bool = False
) -> torch.Tensor:
    qkv = given[0]
    out = torch.full((qkv.shape[0], qkv.shape[1] // 3), float("nan"), device=DEVICE, dtype=qkv.dtype)
    short_attention(*given, out, tokens=tokens, tiles=tiles, pdl=pdl)
    return out


def distance(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


@pytest.mark.parametrize("tiles", [1, 2, 4])
@pytest.mark.parametrize("tokens", [1, 16, 17, 64, 65, 70, 128, 129, 196, 201, 208])
def test_answers_are_near_those_in_float64(tokens: int, tiles: int) -> None:
    given = inputs(3, 6, tokens)
    assert fits(given[0], tokens=tokens)
    exact = attention_oracle(*(one.double() for one in given), tokens=tokens)
    assert distance(answer(given, tokens, tiles), exact) < 5e-3


def test_float16_and_float8_answers_are_near_those_in_float64() -> None:
    half = inputs(2, 12, 201, torch.float16)
    exact = attention_oracle(*(one.double() for one in half), tokens=201)
    assert distance(answer(half, 201, 4), exact) < 1e-3
    given = inputs(2, 12, 201)
    exact = attention_oracle(*(one.double() for one in given), tokens=201)
    out = torch.empty(402, 768, device=DEVICE, dtype=torch.float8_e4m3fn)
    short_attention(*given, out, tokens=201, tiles=4, inverse8=SCALE8)
    assert distance(out.double() / SCALE8, exact) < 3e-2


@pytest.mark.parametrize("tokens", [17, 70, 196, 201])
def test_an_image_has_the_same_bits_in_any_company_and_division(tokens: int) -> None:
    qkv, cos, sin = inputs(40, 12, tokens)
    whole = answer((qkv, cos, sin), tokens, 4)
    for tiles in (1, 2, 3, 4):
        for first, last in ((0, 40), (0, 1), (7, 9), (39, 40)):
            rows = slice(first * tokens, last * tokens)
            assert torch.equal(answer((qkv[rows].contiguous(), cos, sin), tokens, tiles), whole[rows])


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_poisoned_neighbour_changes_nothing(poison: float) -> None:
    qkv, cos, sin = inputs(3, 6, 201)
    clean = answer((qkv, cos, sin), 201, 4)
    qkv[:201] = qkv[402:] = poison
    for tiles in (1, 2, 4):
        assert torch.equal(answer((qkv, cos, sin), 201, tiles)[201:402], clean[201:402])


def test_large_scores_overflow_nothing() -> None:
    qkv, cos, sin = inputs(2, 6, 201)
    qkv[:, : 6 * 64] *= 300
    exact = attention_oracle(*(one.double() for one in (qkv, cos, sin)), tokens=201)
    found = answer((qkv, cos, sin), 201, 4)
    assert torch.isfinite(found).all()
    assert distance(found, exact) < 5e-2


def test_launched_while_its_predecessor_ends_it_waits_for_what_that_writes() -> None:
    qkv, cos, sin = inputs(16, 12, 201)
    expected = answer((qkv, cos, sin), 201, 4)
    for tiles in (1, 4):
        for _ in range(20):
            late = torch.zeros_like(qkv)
            late.copy_(qkv)
            assert torch.equal(answer((late, cos, sin), 201, tiles, pdl=True), expected)


def test_too_many_tokens_are_refused() -> None:
    given = inputs(1, 6, 300)
    assert not fits(given[0], tokens=300)
    with pytest.raises(ValueError, match="at most 208 tokens"):
        short_attention(*given, torch.empty(300, 384, device=DEVICE, dtype=torch.bfloat16), tokens=300, tiles=4)
