"""The split of a chip without one: sizes, the calls to the driver in order, and what is undone when one fails."""

# ruff: noqa: N802  # the driver's own names
from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from streetvision_kernels import multiprocessors as shares

from streetvision.errors import OperatorError
from streetvision.runner import partition as multiprocessors
from streetvision.runner.partition import Partition, sizes


@pytest.mark.parametrize(
    ("total", "share", "smallest", "step", "expected"),
    [
        (132, 0.8, 8, 8, (104, 28)),  # H100, H200
        (108, 0.8, 4, 2, (86, 22)),  # A100
        (46, 0.8, 4, 2, (36, 10)),
        (16, 0.99, 8, 8, (8, 8)),
        (132, 0.001, 8, 8, (8, 124)),
        (132, 0.999, 8, 8, (120, 12)),
    ],
)
def test_sizes_are_near_the_share_and_possible(
    total: int, share: float, smallest: int, step: int, expected: tuple[int, int]
) -> None:
    assert sizes(total, share, smallest=smallest, step=step) == expected


def test_a_chip_too_small_to_be_split_is_refused() -> None:
    with pytest.raises(OperatorError, match="14 multiprocessors, too few"):
        sizes(14, 0.8, smallest=8, step=8)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 80.0])
def test_a_share_is_between_nothing_and_all(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Partition("cuda", serving=share)


def test_a_cpu_cannot_be_split() -> None:
    with pytest.raises(OperatorError, match="Only an NVIDIA GPU can be split"):
        Partition("cpu")


class FakeStream:
    def __init__(self, pointer: int, device: torch.device) -> None:
        self.cuda_stream, self.device = pointer, device

    def synchronize(self) -> None:
        pass


class FakeDriver:
    """libcuda of a chip with 132 multiprocessors; `refuses` names a call that fails."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.refuses: tuple[str, int] = ("", 0)
        self.lacks = ""
        self.priorities: list[int] = []
        self.handles = 0
        self.alive: set[int] = set()
        self.described: list[int] = []

    def __getattr__(self, name: str) -> Any:
        if name == self.lacks:
            raise AttributeError(name)

        def call(*arguments: Any) -> int:
            self.calls.append(name)
            refused, nth = self.refuses
            if name == refused and self.calls.count(name) == nth:
                return 801
            return getattr(self, f"_{name}")(*arguments) or 0

        return call

    def _cuDeviceGet(self, out: Any, ordinal: int) -> None:
        out._obj.value = ordinal + 40

    def _cuDeviceGetDevResource(self, device: ctypes.c_int, out: Any, kind: int) -> None:
        assert (device.value, kind) == (40, 1)
        out._obj.multiprocessors, out._obj.smallest, out._obj.step = 132, 8, 8

    def _cuDevSmResourceSplitByCount(
        self, group: Any, groups: Any, whole: Any, rest: Any, flags: ctypes.c_uint, count: ctypes.c_uint
    ) -> None:
        assert (groups._obj.value, flags.value) == (1, 0)
        group._obj.multiprocessors = count.value
        rest._obj.multiprocessors = whole._obj.multiprocessors - count.value

    def _cuDevResourceGenerateDesc(self, out: Any, share: Any, count: ctypes.c_uint) -> None:
        assert count.value == 1
        self.described.append(share._obj.multiprocessors)
        out._obj.value = share._obj.multiprocessors

    def _cuGreenCtxCreate(self, out: Any, description: Any, device: Any, flags: ctypes.c_uint) -> None:
        assert flags.value == 1
        out._obj.value = self._new()

    def _cuGreenCtxStreamCreate(self, out: Any, context: Any, flags: ctypes.c_uint, priority: ctypes.c_int) -> None:
        assert context.value in self.alive
        assert flags.value == 1
        self.priorities.append(priority.value)
        out._obj.value = self._new()

    def _cuStreamDestroy_v2(self, stream: Any) -> None:
        self.alive.remove(stream.value)

    def _cuGreenCtxDestroy(self, context: Any) -> None:
        self.alive.remove(context.value)

    def _cuGetErrorName(self, status: ctypes.c_int, out: Any) -> None:
        out._obj.value = b"CUDA_ERROR_NOT_SUPPORTED"

    def _new(self) -> int:
        self.handles += 1000
        self.alive.add(self.handles)
        return self.handles


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDriver]:
    fake = FakeDriver()
    monkeypatch.setattr(multiprocessors, "_library", lambda: fake)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "ExternalStream", FakeStream)
    yield fake
    assert not fake.alive
    assert not shares._shares


def test_both_shares_get_a_stream_and_are_given_back(driver: FakeDriver) -> None:
    with Partition("cuda", serving=0.8, priority=-1) as partition:
        assert (partition.serving_multiprocessors, partition.background_multiprocessors) == (104, 28)
        assert driver.described == [104, 28]
        assert driver.priorities == [-1, 0]
        assert len(driver.alive) == 4
        streams = (partition.serving.cuda_stream, partition.background.cuda_stream)
        assert shares._shares == dict(zip(streams, (104, 28), strict=True))
    ends = [name for name in driver.calls if "Destroy" in name]
    assert ends == ["cuStreamDestroy_v2", "cuGreenCtxDestroy"] * 2


def test_closing_twice_ends_nothing_twice(driver: FakeDriver) -> None:
    partition = Partition("cuda")
    partition.close()
    partition.close()
    assert driver.calls.count("cuGreenCtxDestroy") == 2


@pytest.mark.parametrize(
    "refused",
    [
        ("cuDeviceGetDevResource", 1),
        ("cuDevSmResourceSplitByCount", 1),
        ("cuDevResourceGenerateDesc", 2),
        ("cuGreenCtxCreate", 1),
        ("cuGreenCtxCreate", 2),
        ("cuGreenCtxStreamCreate", 1),
        ("cuGreenCtxStreamCreate", 2),
    ],
)
def test_what_the_driver_refuses_is_named_and_the_rest_undone(driver: FakeDriver, refused: tuple[str, int]) -> None:
    driver.refuses = refused
    with pytest.raises(OperatorError, match=rf"{refused[0]} failed with CUDA_ERROR_NOT_SUPPORTED \(801\)"):
        Partition("cuda")


def test_a_driver_from_before_green_contexts_is_named(driver: FakeDriver) -> None:
    driver.lacks = "cuDeviceGetDevResource"
    with pytest.raises(OperatorError, match=r"too old to split a GPU .it lacks cuDeviceGetDevResource.; install 555"):
        Partition("cuda")


def test_a_split_that_leaves_nothing_is_refused(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    def all_of_it(group: Any, groups: Any, whole: Any, rest: Any, *_: Any) -> None:
        group._obj.multiprocessors = whole._obj.multiprocessors

    monkeypatch.setattr(driver, "_cuDevSmResourceSplitByCount", all_of_it, raising=False)
    with pytest.raises(OperatorError, match="cannot split 132 multiprocessors at 104"):
        Partition("cuda")
