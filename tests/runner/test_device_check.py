"""Whether a device computes at all."""

from __future__ import annotations

import pytest
import torch

from streetvision.errors import ConfigError
from streetvision.runner import device_check
from streetvision.runner.device_check import device_trouble


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU whose place the CPU takes."""
    monkeypatch.setattr(device_check, "device_kind", lambda _: "cuda")
    monkeypatch.setattr(device_check, "resolve_device", lambda _: torch.device("cpu"))


def test_a_cpu_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "ones", lambda *_, **__: pytest.fail("a CPU is asked nothing"))
    assert device_trouble("cpu") is None


def test_a_gpu_that_computes(gpu: None) -> None:
    assert device_trouble("cuda") is None


def test_what_the_device_says_is_told_in_one_line(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def ones(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered\nCUDA kernel errors might be ...")

    monkeypatch.setattr(torch, "ones", ones)
    assert device_trouble("cuda") == "CUDA error: uncorrectable ECC error encountered"


def test_a_sum_that_is_wrong(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "ones", lambda *_, **__: torch.zeros(2))
    assert device_trouble("cuda") == "cpu adds 1 and 1 up to 0"


def test_no_device_at_all_is_a_setting_to_correct() -> None:
    with pytest.raises(ConfigError):
        device_trouble("tpu")
