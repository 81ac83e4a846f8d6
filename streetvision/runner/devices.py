"""What a runner may be asked for: devices, batch sizes, precisions; each checked, with a sentence for the operator."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streetvision.base.defaults import PRECISIONS
from streetvision.errors import ConfigError

if TYPE_CHECKING:
    import torch

CPU_BUCKETS = (1, 2, 4, 8)
CUDA_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
MAX_BUCKET = 1024
DRIVER = "libcuda.so.1"
"""NVIDIA's driver as programs load it; without it torch finds no GPU."""


def device_kind(name: str) -> str:
    """`cpu` or `cuda`, as `resolve_device` has it: torch, which takes seconds to import, is asked about GPUs alone."""
    if name == "cpu" or (name == "auto" and not _has_driver()):
        return "cpu"
    return resolve_device(name).type


def _has_driver() -> bool:
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        return False
    return True


def resolve_device(name: str) -> torch.device:
    """The device of that name (auto: a GPU where there is one); ConfigError when it cannot be used."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"The device {name!r} does not exist; use auto, cpu or cuda.") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"The device {name!r} is not supported; use auto, cpu or cuda.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("No CUDA device is usable here; use --device cpu or repair the driver.")
    return device


def check_buckets(buckets: Sequence[int]) -> tuple[int, ...]:
    """Ascending and without repeats; ConfigError when one cannot be."""
    if not buckets or not all(1 <= bucket <= MAX_BUCKET for bucket in buckets):
        raise ConfigError(f"Batch sizes must be from 1 to {MAX_BUCKET}, not {list(buckets)}.")
    return tuple(sorted(set(buckets)))


def check_precision(name: str) -> str:
    """The name itself; ConfigError when there is no such precision."""
    if name not in PRECISIONS:
        raise ConfigError(f"The precision {name!r} does not exist; use {', '.join(PRECISIONS)}.")
    return name


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type's name where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)
