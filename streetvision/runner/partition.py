"""Two shares of one GPU for one process: serving on most of its multiprocessors, background work on the rest.

NVIDIA calls such shares green contexts (driver 555 and later): a stream made in one starts kernels on its
multiprocessors alone. Memory, the L2 cache and the bandwidth between them stay common.

libcuda is called directly. torch's own `GreenContext` takes the first multiprocessors of the whole device every time
(2.11 and 2.14 alike), so two of them overlap; in 2.11 it gives no stream of its own, and from 2.14 it needs a package.
"""

from __future__ import annotations

import ctypes
from contextlib import ExitStack
from functools import cache
from types import TracebackType
from typing import Any

import torch

from streetvision.errors import OperatorError, reason

_MULTIPROCESSORS = 1
"""CU_DEV_RESOURCE_TYPE_SM."""
_DEFAULT_STREAM = 1
"""CU_GREEN_CTX_DEFAULT_STREAM, which the driver requires."""
_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, which the driver requires."""
_STEP = 8
"""Multiprocessors come in multiples of so many where the driver does not say; right for every chip so far."""


class _Resource(ctypes.Structure):
    """CUdevResource: 144 bytes in CUDA 12.4 to 13, of which CUDA 12 fills in the count alone; the rest is room."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("padding", ctypes.c_ubyte * 92),
        ("multiprocessors", ctypes.c_uint),
        ("smallest", ctypes.c_uint),
        ("step", ctypes.c_uint),
        ("rest", ctypes.c_ubyte * 148),
    )


class Partition:
    """A device in two disjoint shares with a stream each; a context manager.

    Work belongs to the share of the stream it is started on, `with torch.cuda.stream(partition.serving): ...`, and a
    CUDA graph to that of the stream it was captured on. So warm a runner up under the stream that it will run under.
    """

    serving: torch.cuda.Stream
    background: torch.cuda.Stream
    serving_multiprocessors: int
    background_multiprocessors: int

    def __init__(self, device: torch.device | str = "cuda", *, serving: float = 0.8, priority: int = 0) -> None:
        """Split `device`; `serving` is the share of its multiprocessors, as near as the chip's granularity allows.

        A negative `priority` puts the serving stream before all others as well. Raises ValueError for a share that is
        not between 0 and 1, OperatorError where the driver or the chip cannot be split.
        """
        if not 0 < serving < 1:
            raise ValueError(f"the share for serving must be between 0 and 1, not {serving}")
        self._device = _usable(torch.device(device))
        with ExitStack() as undo:
            shares = _split(self._device, serving)
            self.serving = _stream(undo, self._device, shares[0], priority)
            self.background = _stream(undo, self._device, shares[1], 0)
            self._undo = undo.pop_all()
        self.serving_multiprocessors, self.background_multiprocessors = (share.multiprocessors for share in shares)

    def close(self) -> None:
        """Wait for the device and give both shares back; their streams, and graphs captured on them, end with it."""
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()  # what torch keeps is kept by stream
        self._undo.close()

    def __enter__(self) -> Partition:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def sizes(total: int, share: float, *, smallest: int, step: int) -> tuple[int, int]:
    """Multiprocessors for serving and for the rest: the multiple of `step` nearest to `share`, `smallest` for each.

    Raises OperatorError for a chip that is too small to be split.
    """
    most = (total - smallest) // step * step
    least = -(-smallest // step) * step
    if most < least:
        raise OperatorError(f"The GPU has {total} multiprocessors, too few to be split; serve without a partition.")
    serving = min(max(round(total * share / step) * step, least), most)
    return serving, total - serving


def _usable(device: torch.device) -> torch.device:
    """The device with its index, its context alive."""
    if device.type != "cuda" or not torch.cuda.is_available() or torch.version.hip is not None:
        raise OperatorError("Only an NVIDIA GPU can be split between serving and training; serve without a partition.")
    chosen = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    torch.cuda.synchronize(chosen)
    return chosen


def _split(device: torch.device, share: float) -> tuple[_Resource, _Resource]:
    """One group of the device's multiprocessors, and what is left of them."""
    handle, whole, group, rest = ctypes.c_int(), _Resource(), _Resource(), _Resource()
    _call("cuDeviceGet", ctypes.byref(handle), device.index)
    _call("cuDeviceGetDevResource", handle, ctypes.byref(whole), _MULTIPROCESSORS)
    step = whole.step or _STEP
    wanted, _ = sizes(whole.multiprocessors, share, smallest=whole.smallest or _STEP, step=step)
    groups = ctypes.c_uint(1)
    split = (ctypes.byref(group), ctypes.byref(groups), ctypes.byref(whole), ctypes.byref(rest))
    _call("cuDevSmResourceSplitByCount", *split, ctypes.c_uint(0), ctypes.c_uint(wanted))
    if groups.value != 1 or not group.multiprocessors or not rest.multiprocessors:
        raise OperatorError(
            f"The driver cannot split {whole.multiprocessors} multiprocessors at {wanted}; ask for another share."
        )
    return group, rest


def _stream(undo: ExitStack, device: torch.device, share: _Resource, priority: int) -> torch.cuda.Stream:
    """A stream on those multiprocessors alone; `undo` ends it and its context."""
    from streetvision_kernels.multiprocessors import assign

    handle, description, context, stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    _call("cuDeviceGet", ctypes.byref(handle), device.index)
    _call("cuDevResourceGenerateDesc", ctypes.byref(description), ctypes.byref(share), ctypes.c_uint(1))
    _call("cuGreenCtxCreate", ctypes.byref(context), description, handle, ctypes.c_uint(_DEFAULT_STREAM))
    undo.callback(_call, "cuGreenCtxDestroy", context)
    flags = (ctypes.c_uint(_NON_BLOCKING), ctypes.c_int(priority))
    _call("cuGreenCtxStreamCreate", ctypes.byref(stream), context, *flags)
    undo.callback(_call, "cuStreamDestroy_v2", stream)
    made: torch.cuda.Stream = torch.cuda.ExternalStream(stream.value, device)  # type: ignore[no-untyped-call]  # torch's gap
    assign(made, share.multiprocessors)
    undo.callback(assign, made, None)
    undo.callback(made.synchronize)  # waiting for the device alone is not enough for graphs on a share
    return made


def _call(name: str, *arguments: Any) -> None:  # noqa: ANN401  # any ctypes value
    """Call libcuda; raises OperatorError where it fails or is too old to know the name."""
    try:
        function = getattr(_library(), name)
    except AttributeError as error:
        raise OperatorError(
            f"The NVIDIA driver is too old to split a GPU (it lacks {name}); install 555 or later, or serve without a "
            "partition."
        ) from error
    status = function(*arguments)
    if status != 0:
        raise OperatorError(
            f"The GPU cannot be split: {name} failed with {_described(status)}; serve without a partition."
        )


def _described(status: int) -> str:
    """The driver's name for a CUresult, and its number."""
    name = ctypes.c_char_p()
    known = _library().cuGetErrorName(ctypes.c_int(status), ctypes.byref(name)) == 0 and name.value is not None
    return f"{(name.value or b'').decode()} ({status})" if known else f"status {status}"


@cache
def _library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise OperatorError(
            f"The NVIDIA driver's libcuda cannot be loaded ({reason(error)}); serve without a partition."
        ) from error
