"""When the monitor asks the GPU's driver: while the device computes, and never one that is lost or not tried yet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from streetvision.miner import monitoring
from streetvision.monitor.observation import MachineView
from streetvision.rollout.device_guard import LostDevice


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The devices whose readers were made."""
    made: list[int] = []

    def reader(index: int) -> Any:
        made.append(index)
        return lambda: MachineView(gpu_free=7)

    monkeypatch.setattr(monitoring, "cuda_reader", reader)
    monkeypatch.setattr(monitoring, "device_kind", lambda name: name.partition(":")[0])
    monkeypatch.setattr(
        monitoring,
        "resolve_device",
        lambda name: SimpleNamespace(type=name.partition(":")[0], index=int(name.partition(":")[2] or 0)),
    )
    return made


def test_the_driver_is_asked_only_while_the_device_computes(opened: list[int]) -> None:
    models: Any = SimpleNamespace(is_warm=False, lost=None)
    read = monitoring._gpu_reader("cuda:1", models)
    assert read() == MachineView()
    assert opened == []
    models.is_warm = True
    assert read().gpu_free == read().gpu_free == 7
    assert opened == [1], "made once"
    models.lost = LostDevice(1.0, "unspecified launch failure", on_cpu=True)
    assert read() == MachineView()


def test_a_device_that_was_lost_at_the_start_is_never_asked(opened: list[int]) -> None:
    models: Any = SimpleNamespace(is_warm=True, lost=LostDevice(1.0, "no device", on_cpu=True))
    assert monitoring._gpu_reader("cuda", models)() == MachineView()
    assert opened == []


def test_without_a_gpu_there_is_nothing_to_read(opened: list[int]) -> None:
    models: Any = SimpleNamespace(is_warm=True, lost=None)
    assert monitoring._gpu_reader("cpu", models)() == MachineView()
    assert opened == []
