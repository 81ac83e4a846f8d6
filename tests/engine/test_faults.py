"""Which errors a retry may heal, and which mean that the device is lost."""

from __future__ import annotations

import pytest

from streetvision.engine.faults import LOST_CODES, Fault, cause_of, fault_of
from streetvision.engine.types import BadImage, RunnerFailure
from streetvision.errors import OperatorError


class AcceleratorError(RuntimeError):
    """As torch's: the text, and the runtime's code."""

    def __init__(self, text: str, error_code: int) -> None:
        super().__init__(text)
        self.error_code = error_code


class OutOfMemoryError(RuntimeError):
    """As torch's."""


class TritonError(Exception):
    """As Triton's."""


SEARCH = (
    "\nSearch for `%s' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information."
)
HINT = "\nCUDA kernel errors might be asynchronously reported at some other API call\nCompile with `TORCH_USE_CUDA_DSA`"
LOST = [
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError(f"CUDA error: an illegal memory access was encountered{HINT}"),
    RuntimeError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: an illegal instruction was encountered"),
    RuntimeError("CUDA error: misaligned address"),
    RuntimeError("CUDA error: the launch timed out and was terminated"),
    RuntimeError("CUDA error: no CUDA-capable device is detected"),
    RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable"),
    RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"),
    RuntimeError("CUDA error: unknown error"),
    RuntimeError("CUDA error: context is destroyed"),
    RuntimeError("CUDA error: invalid device context"),
    RuntimeError("CUDA error: driver shutting down"),
    RuntimeError("CUDA error: initialization error"),
    RuntimeError("CUDA error: uncorrectable NVLink error detected during the execution"),
    RuntimeError("CUDA error: hardware stack error"),
    RuntimeError("CUDA error: invalid program counter"),
    RuntimeError("CUDA error: operation not supported on global/shared address space"),
    RuntimeError("No CUDA GPUs are available"),
    RuntimeError("CUDA driver error: unknown error"),
    RuntimeError("CUDA unknown error - this may be due to an incorrectly set up environment"),
    ExceptionGroup("two members failed", [KeyError("oops"), RuntimeError("CUDA error: unspecified launch failure")]),
    RuntimeError("HIP error: unspecified launch failure"),
    TritonError("Triton Error [CUDA]: an illegal memory access was encountered"),
    AcceleratorError("CUDA error: something newer", 719),
    RunnerFailure("the model failed on cuda:0: CUDA error: unspecified launch failure"),
    OSError("GPU is lost"),
    # As torch 2.11 raised them on an H200.
    AcceleratorError(
        f"CUDA error: an illegal memory access was encountered{SEARCH % 'cudaErrorIllegalAddress'}{HINT}", 700
    ),
    AcceleratorError(f"CUDA error: device-side assert triggered{SEARCH % 'cudaErrorAssert'}{HINT}", 710),
]
STRAINED = [
    OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB"),
    RuntimeError("CUDA error: out of memory"),
    AcceleratorError("CUDA error: out of memory", 2),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried 1 bytes"),
    RuntimeError("CUDA error: invalid argument"),
    RuntimeError("CUDA driver error: device not ready"),
    ExceptionGroup("groups of groups", [ExceptionGroup("inner", [ValueError("no"), MemoryError()])]),
    AcceleratorError("some other accelerator's words", 1),
    RuntimeError("std::bad_alloc"),
    MemoryError(),
    # As torch 2.11 raised them on an H200.
    AcceleratorError(f"CUDA error: out of memory{SEARCH % 'cudaErrorMemoryAllocation'}{HINT}", 2),
    AcceleratorError(
        f"CUDA error: invalid device ordinal\nGPU device may be out of range, do you have enough GPUs?{HINT}", 101
    ),
    OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 4096.00 GiB. GPU 0 has a total capacity of 139.80 GiB of which 139.29 "
        "GiB is free. Including non-PyTorch memory, this process has 518.00 MiB memory in use. Of the allocated memory "
        "0 bytes is allocated by PyTorch, and 0 bytes is reserved by PyTorch but unallocated."
    ),
]
NONE = [
    RunnerFailure("the model's answer is not finite"),
    RunnerFailure("device error"),
    BadImage("the picture is damaged"),
    ValueError("images must be uint8"),
    KeyError("oops"),
    OperatorError("The fast forward cannot serve this model: it needs a CUDA device."),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x3 and 4x5)"),
    OSError(28, "No space left on device"),
    RuntimeError(""),
]


@pytest.mark.parametrize("error", LOST, ids=str)
def test_what_no_retry_heals(error: Exception) -> None:
    assert fault_of(error) is Fault.LOST


@pytest.mark.parametrize("error", STRAINED, ids=str)
def test_what_may_heal(error: Exception) -> None:
    assert fault_of(error) is Fault.STRAINED


@pytest.mark.parametrize("error", NONE, ids=str)
def test_what_says_nothing_of_the_device(error: Exception) -> None:
    assert fault_of(error) is Fault.NONE


def test_the_cause_below_counts() -> None:
    """A room above wraps what a runner raised, and its own words need not say it."""
    for below in (LOST[0], LOST[1]):
        try:
            try:
                raise below
            except RuntimeError as caught:
                raise RunnerFailure("the model failed on this image") from caught
        except RunnerFailure as error:
            assert fault_of(error) is Fault.LOST
            assert cause_of(error) == str(below).splitlines()[0]


def test_a_defect_while_the_error_was_handled_hides_nothing() -> None:
    with pytest.raises(KeyError) as caught:
        try:
            raise LOST[0]
        except RuntimeError:
            raise KeyError("a defect")  # noqa: B904 - as a defect does
    assert fault_of(caught.value) is Fault.LOST


def test_an_error_that_is_its_own_cause_ends_the_look() -> None:
    error = RuntimeError("a circle")
    error.__cause__ = error
    assert fault_of(error) is Fault.NONE


def test_groups_that_hold_each_other_end_the_look() -> None:
    wide = ExceptionGroup("wide", [ValueError(str(number)) for number in range(1000)])
    wide.exceptions[0].__cause__ = wide
    assert fault_of(wide) is Fault.NONE


def test_the_codes_are_of_sticky_errors_alone() -> None:
    assert {700, 719, 214} <= LOST_CODES
    assert not {0, 1, 2, 98, 101, 209, 600, 701, 720, 900} & LOST_CODES
