"""The serving kernels on a real GPU: over all shapes and dtypes, and cuBLASLt's products. No plugin needed."""

from __future__ import annotations

import pytest
import torch
from streetvision_kernels.cublaslt import CublasLt, Scales
from streetvision_kernels.cublaslt_oracle import matmul_oracle
from streetvision_kernels.float8 import float8_oracle
from streetvision_kernels.layer_norm import layer_norm

from streetvision.runner.cuda_forward import has_float8

from ..kernels.case_rows import cuda_rows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

DEVICE = torch.device("cuda")
# One rounding of the answer: 1.7e-3, 2e-4 and 2.7e-2 as norms of normal values.
BOUNDS = {"bfloat16": 2e-3, "float16": 2.5e-4, "float8_e4m3fn": 3e-2}
# Rotated queries and keys and the weights of a softmax are rounded too.
ATTENTION_BOUNDS = {"bfloat16": 5e-3, "float16": 7e-4, "float8_e4m3fn": 3e-2}
# Sums in float32 of inputs that are taken as they are.
HEAD_BOUND = 5e-6
SHAPES = ((1, 192, 192), (201, 2304, 768), (1005, 768, 3072), (402, 384, 784), (16500, 1024, 1024))
NEEDS_FLOAT8 = pytest.mark.skipif(not torch.cuda.is_available() or not has_float8(DEVICE), reason="no float8")


def relative(got: torch.Tensor, expected: torch.Tensor) -> float:
    return float((got.double() - expected.double()).norm() / expected.double().norm())


def bound(case: str) -> float:
    kernel, dtype = case.split("-")[:2]
    return HEAD_BOUND if kernel == "head" else (ATTENTION_BOUNDS if "attention" in kernel else BOUNDS)[dtype]


def test_every_kernel_matches_its_float64_oracle() -> None:
    rows = {row["case"]: row["error"] for row in cuda_rows("serving_cases")}
    assert len(rows) == 62
    wrong = {case: error for case, error in rows.items() if not error <= bound(case)}
    assert wrong == {}
    assert {case: error for case, error in rows.items() if case.startswith("patchify") and error != 0} == {}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("gelu", "add", "bias"), [(False, False, False), (True, False, True), (False, True, True)])
def test_products_in_bfloat16(shape: tuple[int, int, int], gelu: bool, add: bool, bias: bool) -> None:
    m, n, k = shape
    torch.manual_seed(m)
    a, weight = torch.randn(m, k, device=DEVICE).bfloat16(), (torch.randn(n, k, device=DEVICE) / k**0.5).bfloat16()
    offset = torch.randn(n, device=DEVICE).bfloat16() if bias else None
    out = torch.randn(m, n, device=DEVICE).bfloat16()
    wide = {"bias": None if offset is None else offset.double(), "added": out.double() if add else None}
    expected = matmul_oracle(a.double(), weight.double(), gelu=gelu, **wide)
    CublasLt(DEVICE).matmul(a, weight, out, bias=offset, gelu=gelu, add=add)
    # The sum is rounded before it is added to what was there.
    assert relative(out, expected) < (3e-3 if add else 2e-3)


@NEEDS_FLOAT8
@pytest.mark.parametrize("shape", SHAPES[:3] + SHAPES[4:])
@pytest.mark.parametrize(("gelu", "add"), [(False, False), (True, False), (False, True)])
def test_products_in_float8(shape: tuple[int, int, int], gelu: bool, add: bool) -> None:
    m, n, k = shape
    torch.manual_seed(m)
    a, weight = float8_oracle(torch.randn(m, k, device=DEVICE), 40.0), torch.randn(n, k, device=DEVICE) / k**0.5
    weight = float8_oracle(weight, 600.0)
    bias = torch.randn(n, device=DEVICE).bfloat16()
    out = torch.randn(m, n, device=DEVICE).bfloat16()
    expected = matmul_oracle(
        a.double() / 40, weight.double() / 600, bias=bias.double(), gelu=gelu, added=out.double() if add else None
    )
    one = [torch.tensor(value, device=DEVICE) for value in (1 / 40, 1 / 600, 50.0)]
    if gelu:
        out = torch.empty_like(out, dtype=torch.float8_e4m3fn)
    CublasLt(DEVICE).matmul(a, weight, out, bias=bias, gelu=gelu, add=add, scales=Scales(*one[: 3 if gelu else 2]))
    assert relative(out.float() / (50 if gelu else 1), expected) < (3e-2 if gelu else 3e-3)


@pytest.mark.parametrize("float8", [False, pytest.param(True, marks=NEEDS_FLOAT8)])
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize(("n", "k"), [(768, 784), (2304, 768), (768, 3072), (1536, 384)])
def test_a_row_has_the_same_bits_in_any_batch(n: int, k: int, gelu: bool, float8: bool) -> None:
    torch.manual_seed(n)
    a, weight = torch.randn(201 * 96, k, device=DEVICE), torch.randn(n, k, device=DEVICE) / k**0.5
    a, weight = (float8_oracle(t, 30.0) if float8 else t.bfloat16() for t in (a, weight))
    scales = Scales(*(torch.tensor(1 / 30, device=DEVICE) for _ in range(2))) if float8 else None
    lt = CublasLt(DEVICE)
    bias = torch.randn(n, device=DEVICE).bfloat16()
    answers = {}
    for images in (1, 3, 8, 96):
        out = torch.zeros(201 * images, n, device=DEVICE, dtype=torch.bfloat16)
        lt.matmul(a[: 201 * images], weight, out, bias=bias, gelu=gelu, scales=scales)
        answers[images] = out
    differ = [images for images, answer in answers.items() if not torch.equal(answer, answers[96][: len(answer)])]
    assert differ == []


@pytest.mark.parametrize("out", [torch.bfloat16, pytest.param(torch.float8_e4m3fn, marks=NEEDS_FLOAT8)])
@pytest.mark.parametrize("width", [384, 768, 1024])
def test_a_row_is_normalised_to_the_same_bits_whatever_comes_with_it(width: int, out: torch.dtype) -> None:
    torch.manual_seed(width)
    x = torch.randn(201 * 128, width, device=DEVICE).bfloat16()
    vectors = [torch.randn(width, device=DEVICE) for _ in range(2)]

    def normalised(rows: int) -> torch.Tensor:
        answer = torch.empty(rows, width, device=DEVICE, dtype=out)
        layer_norm(x[:rows], *vectors, answer, eps=1e-5, inverse8=16.0)
        return answer.view(torch.uint8)

    whole = normalised(len(x))
    assert [n for n in (1, 201, 1407, 3216, 6633, 9648) if not torch.equal(normalised(n), whole[:n])] == []


def test_what_cublaslt_cannot_take_is_refused_before_it_is_called() -> None:
    lt = CublasLt(DEVICE)
    a, weight = (torch.zeros(shape, device=DEVICE, dtype=torch.bfloat16) for shape in ((4, 64), (32, 64)))
    out = torch.zeros(4, 32, device=DEVICE, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="a must be"):
        lt.matmul(a[:, :32], weight, out)
    with pytest.raises(ValueError, match="out"):
        lt.matmul(a, weight, out[:3])
    with pytest.raises(ValueError, match="scales belong"):
        lt.matmul(a, weight, out, scales=Scales(a, a))
    with pytest.raises(ValueError, match="bias must be"):
        lt.matmul(a, weight, out, bias=torch.zeros(32, device=DEVICE))
