"""The kind of a device is known without torch unless it may be a GPU."""

from __future__ import annotations

import pytest
import torch

from streetvision.errors import ConfigError
from streetvision.runner import devices
from streetvision.runner.devices import device_kind


def test_a_machine_without_the_driver_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "DRIVER", "libno-such-driver.so.1")
    monkeypatch.setattr(devices, "resolve_device", lambda _: pytest.fail("torch was asked"))
    assert device_kind("cpu") == "cpu"
    assert device_kind("auto") == "cpu"


def test_where_the_driver_is_torch_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "DRIVER", "libc.so.6")
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert device_kind("auto") == ("cuda" if there else "cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:", "mps", ""])
def test_names_are_refused_as_ever(name: str) -> None:
    with pytest.raises(ConfigError):
        device_kind(name)
