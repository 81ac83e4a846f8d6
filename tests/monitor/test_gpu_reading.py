"""What is read of the GPU: through torch, and never an error when a driver, NVML's module or a figure is missing."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch

from streetvision.monitor.machine import cuda_reader
from streetvision.monitor.observation import MachineView

GIB = 2**30


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A GPU with 80 GiB, of which 60 are free and 5 are ours, at 41 degrees."""
    figures = {
        "mem_get_info": lambda index: (60 * GIB, 80 * GIB),
        "memory_reserved": lambda index: 5 * GIB,
        "temperature": lambda index: 41,
        "utilization": lambda index: 37,
        "power_draw": lambda index: 251_500,
    }
    for name, figure in figures.items():
        monkeypatch.setattr(torch.cuda, name, figure)
    return monkeypatch


def test_all_figures(cuda: pytest.MonkeyPatch) -> None:
    assert cuda_reader()() == MachineView(
        gpu_free=60 * GIB, gpu_total=80 * GIB, gpu_others=15 * GIB, gpu_celsius=41.0, gpu_busy=0.37, gpu_watts=251.5
    )


def test_without_the_module_memory_is_left(cuda: pytest.MonkeyPatch) -> None:
    def missing(_: int) -> int:
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")

    for name in ("temperature", "utilization", "power_draw"):
        cuda.setattr(torch.cuda, name, missing)
    cuda.setitem(sys.modules, "pynvml", None)
    view = cuda_reader()()
    assert (view.gpu_free, view.gpu_others) == (60 * GIB, 15 * GIB)
    assert (view.gpu_celsius, view.gpu_busy, view.gpu_watts) == (None, None, None)


def test_on_a_part_of_a_gpu_what_nvml_refuses_is_left_out(cuda: pytest.MonkeyPatch) -> None:
    module = ModuleType("pynvml")

    class NVMLError(Exception):
        pass

    module.NVMLError = NVMLError  # type: ignore[attr-defined]  # a stand-in
    cuda.setitem(sys.modules, "pynvml", module)

    def refused(_: int) -> int:
        raise NVMLError("Not Supported")

    cuda.setattr(torch.cuda, "utilization", refused)
    view = cuda_reader()()
    assert view.gpu_busy is None
    assert (view.gpu_celsius, view.gpu_watts) == (41.0, 251.5)


def test_a_driver_that_fails_leaves_nothing(cuda: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> tuple[int, int]:
        raise RuntimeError("CUDA error: unknown error")

    cuda.setattr(torch.cuda, "mem_get_info", broken)
    assert cuda_reader()() == MachineView()
