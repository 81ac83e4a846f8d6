"""One compiled LayerNorm serves any number of rows, so that a row's bits cannot depend on what comes with it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from streetvision_kernels import layer_norm as kernel
from streetvision_kernels import multiprocessors
from streetvision_kernels.multiprocessors import available


class Recorder:
    """Stands for the kernel: keeps how it was launched."""

    def __init__(self) -> None:
        self.grids: list[int] = []
        self.compiled_for: list[dict[str, Any]] = []

    def __getitem__(self, grid: tuple[int]) -> Recorder:
        self.grids.append(grid[0])
        return self

    def __call__(self, *given: Any, **constants: Any) -> None:
        kinds = {
            f"argument {i}": value.dtype if isinstance(value, torch.Tensor) else type(value)
            for i, value in enumerate(given)
        }
        self.compiled_for.append(constants | kinds)


@pytest.mark.parametrize("out", [torch.bfloat16, torch.float8_e4m3fn], ids=["bfloat16", "float8"])
@pytest.mark.parametrize("width", [192, 384, 768, 1024, 1280])
def test_nothing_that_it_is_compiled_for_depends_on_the_rows(
    width: int, out: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(kernel, "_layer_norm_kernel", recorder)
    monkeypatch.setattr(kernel, "available", lambda device: 132)
    counts = (1, 16, 201, 3216, 25728)
    for rows in counts:
        x, answer = torch.empty(rows, width, dtype=torch.bfloat16), torch.empty(rows, width, dtype=out)
        kernel.layer_norm(x, torch.empty(width), torch.empty(width), answer, eps=1e-5)
    assert recorder.compiled_for == [recorder.compiled_for[0]] * len(counts)
    assert recorder.grids == [min(rows, 132 * kernel.PROGRAMS) for rows in counts]


def test_nor_does_triton_compile_for_a_number_of_rows_with_many_factors() -> None:
    rows = next(parameter for parameter in kernel._layer_norm_kernel.params if parameter.name == "rows")
    assert rows.do_not_specialize


def test_a_share_of_the_multiprocessors_is_filled_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert available(torch.device("cpu")) == 1
    monkeypatch.setattr(multiprocessors, "assigned", lambda device: 28)
    assert available(torch.device("cuda")) == 28
