"""Which errors a retry may heal, and which mean that the device is lost to this process. Pure, and without torch.

CUDA calls an error sticky when it leaves the context unusable: every later call fails alike, until another process
makes a context of its own. Codes and texts are those of cudaError_t (CUDA Runtime API, "Data types used by CUDA
Runtime"); HIP has the same ones. Triton and older releases of torch give the text alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import IntEnum

MOST_CAUSES = 32
"""Exceptions that are looked at: causes, contexts and the members of groups."""


class Fault(IntEnum):
    """What an error of a forward pass says of the device; the greater, the worse."""

    NONE = 0
    """Nothing: a picture, a defect, a model that answers NaN."""
    STRAINED = 1
    """It may heal: memory is short, or the device refused for a reason that may pass. Several in a row do not."""
    LOST = 2
    """No retry heals it in this process."""


LOST_CODES = frozenset(
    {
        3,  # initialization error
        4,  # driver shutting down
        46,  # devices unavailable
        100,  # no device
        201,  # invalid context
        214,  # uncorrectable ECC error
        220,  # uncorrectable NVLink error
        226,  # error contained to this process
        700,  # illegal address
        702,  # launch timed out
        709,  # context is destroyed
        710,  # device-side assert
        *range(714, 720),  # stack, instruction, alignment, address space, program counter, launch failure
        721,  # tensor memory leak
        999,  # unknown
    }
)
LOST_TEXTS = (
    "unspecified launch failure",
    "illegal memory access",
    "illegal address",
    "illegal instruction",
    "misaligned address",
    "device-side assert",
    "hardware stack error",
    "invalid program counter",
    "operation not supported on global/shared address space",
    "launch timed out and was terminated",
    "ecc error",
    "nvlink error",
    "context is destroyed",
    "invalid device context",
    "driver shutting down",
    "cuda error: initialization error",
    "no cuda-capable device",
    "no cuda gpus are available",
    "busy or unavailable",
    "gpu is lost",
    "fallen off the bus",
    "cuda error: unknown error",
    "cuda driver error: unknown error",
    "cuda unknown error",
    "[cuda]: unknown error",
    "hip error: unknown error",
)
STRAINED_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "cuda error",
    "cuda driver error",
    "hip error",
    "triton error",
    "cublas_status",
    "cudnn_status",
    "cublas error",
    "cudnn error",
)


def fault_of(error: BaseException) -> Fault:
    """The worst that the error or one of its causes says of the device."""
    return max(map(_own_fault, _with_causes(error)))


def cause_of(error: BaseException) -> str:
    """One line: the text of the first cause in the chain that says the worst of the device."""
    worst = fault_of(error)
    first = next(link for link in _with_causes(error) if _own_fault(link) is worst)
    return next(iter(str(first).splitlines()), "") or type(first).__name__


def _own_fault(error: BaseException) -> Fault:
    code = getattr(error, "error_code", None) if type(error).__name__ == "AcceleratorError" else None
    text = str(error).lower()
    if code in LOST_CODES or any(known in text for known in LOST_TEXTS):
        return Fault.LOST
    if code is not None or isinstance(error, MemoryError) or any(known in text for known in STRAINED_TEXTS):
        return Fault.STRAINED
    return Fault.NONE


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what lies below it, the nearest first; each once."""
    waiting, seen = deque([error]), {id(error)}
    while waiting:
        link = waiting.popleft()
        yield link
        for below in _below(link):
            if id(below) not in seen and len(seen) < MOST_CAUSES:
                seen.add(id(below))
                waiting.append(below)


def _below(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield cause
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: by itself or by a cause below it."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, MemoryError) or "out of memory" in str(below).lower():
            return True
        below = below.__cause__
    return False
