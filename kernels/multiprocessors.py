"""Which multiprocessors a stream's work may run on: told by who divides the chip, and seen by a kernel that looks.

A library that asks the device for its multiprocessors is told all of them, also on a stream that has only a share.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import smid

WARPS_A_MULTIPROCESSOR = 32
"""Programs of one warp that any chip since Pascal holds at once: so many at least for each meet every one of them."""
SPIN = 5000
"""Rounds that a program stays for, ten microseconds and more: the first have not ended when the last are placed."""

_shares: dict[int, int] = {}


def assign(stream: torch.cuda.Stream, multiprocessors: int | None) -> None:
    """Say how many multiprocessors the work of `stream` may use; None forgets it, before the stream is destroyed."""
    if multiprocessors is None:
        _shares.pop(stream.cuda_stream, None)
    else:
        _shares[stream.cuda_stream] = multiprocessors


def assigned(device: torch.device) -> int:
    """How many multiprocessors the calling thread's current stream may use; 0 stands for all of them."""
    return _shares.get(torch.cuda.current_stream(device).cuda_stream, 0)


def available(device: torch.device) -> int:
    """How many multiprocessors a kernel on the current stream may fill; 1 where kernels are interpreted."""
    if device.type != "cuda":
        return 1
    return assigned(device) or torch.cuda.get_device_properties(device).multi_processor_count


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _look_kernel(
    seen: tl.tensor,  # int32 [programs, 2]: multiprocessor, end of the waiting
    SPIN: tl.constexpr,  # turns of waiting
) -> None:
    program = tl.program_id(0)
    value = program
    for _ in range(SPIN):
        value = value * 1664525 + 1013904223
    tl.store(seen + 2 * program, smid())
    # Stored so that the compiler keeps the loop.
    tl.store(seen + 2 * program + 1, value)


def looking_glass(device: torch.device) -> torch.Tensor:
    """Room for what `look` writes, int32 [programs, 2]."""
    programs = WARPS_A_MULTIPROCESSOR * torch.cuda.get_device_properties(device).multi_processor_count
    return torch.full((programs, 2), -1, dtype=torch.int32, device=device)


def look(seen: torch.Tensor) -> None:
    """Let every program write its multiprocessor to `seen[:, 0]`, on the current stream; can be captured in a graph."""
    _look_kernel[(len(seen),)](seen, SPIN=SPIN, num_warps=1)


def multiprocessors_in(seen: torch.Tensor, stream: torch.cuda.Stream) -> set[int]:
    """The multiprocessors that `look` met on `stream`; waits for it. Raises ValueError if a program has not written.

    The stream itself is waited for: on an H100 with driver 580 `torch.cuda.synchronize` alone was not enough for a
    graph on a share.
    """
    stream.synchronize()
    torch.cuda.synchronize(seen.device)
    found = set(seen[:, 0].tolist())
    if -1 in found:
        raise ValueError("look() has not run on these yet")
    return found
