"""Whether a device computes at all: before a model is loaded onto it, and before a model is freed from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streetvision.engine.faults import Fault, fault_of
from streetvision.runner.devices import device_kind, first_line, resolve_device

if TYPE_CHECKING:
    import torch


def device_trouble(name: str) -> str | None:
    """Why the GPU of that name cannot add two numbers, in one line; None where it can, or is a CPU. Blocks for seconds.

    `name` is as for TorchRunner; ConfigError where it names no device at all.
    """
    if device_kind(name) == "cpu":
        return None
    import torch  # takes seconds, and a CPU's miner may do without

    device = resolve_device(name)
    try:
        total = float(torch.ones(2, device=device).sum())
    except RuntimeError as error:
        return first_line(error)
    return None if total == 2.0 else f"{device} adds 1 and 1 up to {total:g}"


def has_lost(device: torch.device) -> bool:
    """Whether this process has lost a CUDA device for good; waits for nothing, so a device that hangs has not."""
    import torch

    try:
        torch.cuda.current_stream(device).query()
    except RuntimeError as error:
        return fault_of(error) is Fault.LOST
    return False
