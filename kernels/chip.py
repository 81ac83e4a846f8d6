"""What a chip offers a kernel, and how many programs a multiprocessor holds at once.

Source: the occupancy rules of the CUDA C++ programming guide (registers, shared memory, threads, programs).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from streetvision_kernels.multiprocessors import available

WARP = 32
MOST_PROGRAMS = 16
"""Of a multiprocessor, on the chips that hold fewest (Ada; Hopper has 32)."""
RESERVED_BYTES = 1024
"""Shared memory that each program costs besides its own."""
REGISTER_UNIT = 8
"""Registers are handed out to a thread in eights."""


@dataclass(frozen=True, slots=True)
class Chip:
    """One device, or a share of its multiprocessors."""

    capability: tuple[int, int]
    multiprocessors: int
    registers: int
    """Of a multiprocessor, each of 32 bits."""
    shared_bytes: int
    """The most that one program may have; a multiprocessor has as much for all that it holds."""
    threads: int
    """That a multiprocessor holds at once."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one program of a kernel takes."""

    warps: int
    registers: int
    """A thread."""
    shared_bytes: int


def chip_of(device: torch.device) -> Chip:
    """The chip behind a CUDA device, with the multiprocessors that the current stream may use."""
    properties = torch.cuda.get_device_properties(device)
    index = torch.cuda.current_device() if device.index is None else device.index
    limits = triton.runtime.driver.active.utils.get_device_properties(index)
    return Chip(
        capability=(properties.major, properties.minor),
        multiprocessors=available(device),
        registers=limits["max_num_regs"],
        shared_bytes=limits["max_shared_mem"],
        threads=properties.max_threads_per_multi_processor,
    )


def resident(chip: Chip, demand: Demand) -> int:
    """Programs that a multiprocessor holds at once; 0: the kernel cannot run there."""
    if demand.shared_bytes > chip.shared_bytes:
        return 0
    threads = demand.warps * WARP
    registers = -(-demand.registers // REGISTER_UNIT) * REGISTER_UNIT * threads
    shared = (chip.shared_bytes + RESERVED_BYTES) // (demand.shared_bytes + RESERVED_BYTES)
    return min(MOST_PROGRAMS, chip.threads // threads, chip.registers // registers, shared)
