"""Matrix products by cuBLASLt with what torch does not pass on: GELU into float8, a residual under a float8 product.

torch has loaded the library already; this calls its C interface, whose constants are those of `cublasLt.h` (the same
since CUDA 12). Products in bfloat16, or in float8 with one scale a tensor; bias, GELU's tanh form, addition in place.

The first product of a shape is tuned: the library's best guesses are timed, and the fastest is kept among those that
give a row the same bits as the reference, a large batch's first guess. So neither the choice, which timing sways, nor
the batch that a row comes with can sway an answer.

A handle made while the current stream has only a share of the multiprocessors (see `multiprocessors.py`) asks for
algorithms for so many, because a grid made for the whole chip would need a second round there. Bits stay the same.
"""

from __future__ import annotations

import ctypes
import logging
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from streetvision_kernels.multiprocessors import assigned
from streetvision_kernels.tuning import Trial, copies_of, fastest

WORKSPACE_BYTES = 32 << 20
"""What NVIDIA advises for Hopper."""
REFERENCE_ROWS = 16384
"""So many rows fill any chip without splitting sums: what a row gets among them is what it gets anywhere."""

logger = logging.getLogger(__name__)

_TYPES = {torch.float32: 0, torch.float16: 2, torch.bfloat16: 14, torch.float8_e4m3fn: 28}
_COMPUTE_32F = 68
_TRANSPOSE_A, _EPILOGUE, _BIAS_POINTER = 3, 7, 8
_MULTIPROCESSORS = 15
_A_SCALE, _B_SCALE, _D_SCALE = 17, 18, 20
_FAST_ACCUMULATION, _BIAS_TYPE = 25, 26
_MAX_WORKSPACE, _REDUCTIONS = 1, 3
_DEFAULT, _BIAS, _GELU = 1, 4, 32


class _Algorithm(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = (
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    )


@dataclass(frozen=True)
class Scales:
    """Of a float8 product, each a float32 tensor of one element on the device: what a stored value is multiplied by."""

    a: torch.Tensor
    weight: torch.Tensor
    inverse_out: torch.Tensor | None = None
    """Multiplies the answer before it is rounded to float8; for float8 answers alone."""


@dataclass(frozen=True)
class _Key:
    m: int
    n: int
    k: int
    a: torch.dtype
    out: torch.dtype
    epilogue: int
    add: bool
    multiprocessors: int
    """To choose an algorithm for; 0 is all."""


@dataclass
class _Plan:
    operation: ctypes.c_void_p
    layouts: tuple[ctypes.c_void_p, ...]
    """Of weight, a, what is added and the answer, as column-major matrices."""
    algorithm: _Algorithm


class CublasLt:
    """A handle with its workspace. Belongs to one stream at a time: products that run at once must not share it."""

    def __init__(self, device: torch.device, *, tune: bool = True) -> None:
        """Raises RuntimeError when the library cannot be used. Without `tune` the library's first guess is taken."""
        self._library, self._device, self._tune = _library(), device, tune
        self._handle = ctypes.c_void_p()
        with torch.cuda.device(device):
            self._call("cublasLtCreate", ctypes.byref(self._handle))
        self._workspace = torch.empty(WORKSPACE_BYTES, dtype=torch.uint8, device=device)
        self._multiprocessors = assigned(device)
        self._plans: dict[_Key, _Plan] = {}

    def matmul(
        self,
        a: torch.Tensor,
        weight: torch.Tensor,
        out: torch.Tensor,
        *,
        bias: torch.Tensor | None = None,
        gelu: bool = False,
        add: bool = False,
        scales: Scales | None = None,
    ) -> None:
        """Write a @ weight.T + bias to `out`, [M, K] x [N, K] -> [M, N]; `gelu`: its GELU, `add`: on top of `out`.

        All are contiguous; a and weight have one dtype, float8_e4m3fn with `scales`; `bias` [N] is bfloat16 for float8
        and in out's dtype otherwise. The first call of a shape takes milliseconds to tune, unless it is captured in a
        CUDA graph. Raises ValueError on other shapes, RuntimeError when cuBLASLt has no such product.
        """
        _check(a, weight, out, bias, scales)
        epilogue = (_BIAS if bias is not None else 0) | (_GELU if gelu else 0) or _DEFAULT
        shape = (a.shape[0], weight.shape[0], weight.shape[1])
        key = _Key(*shape, a.dtype, out.dtype, epilogue, add, self._multiprocessors)
        plan = self._plans.get(key) or self._operation(key)
        self._point(plan, bias, scales)
        if key not in self._plans:
            plan.algorithm = self._chosen(plan, key, a, weight, out, bias, scales)
            self._plans[key] = plan
        self._launch(plan, plan.algorithm, a, weight, out, add=add)

    def _point(self, plan: _Plan, bias: torch.Tensor | None, scales: Scales | None) -> None:
        """Vectors and scales are part of the operation's description."""
        if bias is not None:
            self._set(plan.operation, _BIAS_POINTER, ctypes.c_void_p(bias.data_ptr()))
        if scales is not None:
            self._set(plan.operation, _A_SCALE, ctypes.c_void_p(scales.weight.data_ptr()))
            self._set(plan.operation, _B_SCALE, ctypes.c_void_p(scales.a.data_ptr()))
        if scales is not None and scales.inverse_out is not None:
            self._set(plan.operation, _D_SCALE, ctypes.c_void_p(scales.inverse_out.data_ptr()))

    def _launch(
        self, plan: _Plan, algorithm: _Algorithm, a: torch.Tensor, weight: torch.Tensor, out: torch.Tensor, *, add: bool
    ) -> None:
        left, right, added, answer = plan.layouts
        # Column-major: the library sees the transposed answer, weight @ a.T.
        self._call(
            "cublasLtMatmul",
            self._handle,
            plan.operation,
            ctypes.byref(ctypes.c_float(1.0)),
            ctypes.c_void_p(weight.data_ptr()),
            left,
            ctypes.c_void_p(a.data_ptr()),
            right,
            ctypes.byref(ctypes.c_float(1.0 if add else 0.0)),
            ctypes.c_void_p(out.data_ptr() if add else None),
            added,
            ctypes.c_void_p(out.data_ptr()),
            answer,
            ctypes.byref(algorithm.algorithm),
            ctypes.c_void_p(self._workspace.data_ptr()),
            ctypes.c_size_t(WORKSPACE_BYTES),
            ctypes.c_void_p(torch.cuda.current_stream(self._device).cuda_stream),
        )

    def _chosen(  # noqa: PLR0917  # matmul's own arguments
        self,
        plan: _Plan,
        key: _Key,
        a: torch.Tensor,
        weight: torch.Tensor,
        out: torch.Tensor,
        bias: torch.Tensor | None,
        scales: Scales | None,
    ) -> _Algorithm:
        """Tuned once for every handle of a kind of device: another model of the same shape finds the choice made."""
        place = (torch.cuda.get_device_name(self._device), key)
        if place in _tuned:
            return _tuned[place]
        candidates = self._find(plan, key)
        if not self._tune or torch.cuda.is_current_stream_capturing():
            return candidates[0]
        expected = self._reference(key, a, weight, out, bias, scales)
        weights = copies_of(weight)

        def run(candidate: _Algorithm, index: int, answer: torch.Tensor) -> None:
            self._launch(plan, candidate, a, weights[index], answer, add=key.add)

        trials = [Trial(partial(run, candidate), candidate) for candidate in candidates]
        chosen = fastest(trials, out, expected, launches=len(weights))
        if chosen is None:
            logger.info("no product for %s gives the bits of a large batch; answers may differ by rounding", key)
        _tuned[place] = chosen or candidates[0]
        return _tuned[place]

    def _reference(  # noqa: PLR0917  # matmul's own arguments
        self,
        key: _Key,
        a: torch.Tensor,
        weight: torch.Tensor,
        out: torch.Tensor,
        bias: torch.Tensor | None,
        scales: Scales | None,
    ) -> torch.Tensor:
        """The first rows of the answer, at most REFERENCE_ROWS, as a batch of just so many rows would have them."""
        rows = min(key.m, REFERENCE_ROWS)
        long, answer = (t.new_zeros((REFERENCE_ROWS, t.shape[1])) for t in (a, out))
        long[:rows], answer[:rows] = a[:rows], out[:rows]
        plan = self._operation(replace(key, m=REFERENCE_ROWS, multiprocessors=0))
        self._point(plan, bias, scales)
        self._launch(plan, self._find(plan, key)[0], long, weight, answer, add=key.add)
        return answer[:rows]

    def _operation(self, key: _Key) -> _Plan:
        operation = ctypes.c_void_p()
        self._call("cublasLtMatmulDescCreate", ctypes.byref(operation), _COMPUTE_32F, _TYPES[torch.float32])
        self._set(operation, _TRANSPOSE_A, ctypes.c_int32(1))
        self._set(operation, _EPILOGUE, ctypes.c_int32(key.epilogue))
        if key.multiprocessors:
            self._set(operation, _MULTIPROCESSORS, ctypes.c_int32(key.multiprocessors))
        small = key.a == torch.float8_e4m3fn
        added = torch.bfloat16 if key.out == torch.float8_e4m3fn else key.out
        if small:
            self._set(operation, _FAST_ACCUMULATION, ctypes.c_int8(1))
        if key.epilogue & _BIAS:
            self._set(operation, _BIAS_TYPE, ctypes.c_int32(_TYPES[added]))
        return _Plan(
            operation,
            (
                self._layout(key.a, key.k, key.n),
                self._layout(key.a, key.k, key.m),
                self._layout(added, key.n, key.m),
                self._layout(key.out, key.n, key.m),
            ),
            _Algorithm(),
        )

    def _layout(self, dtype: torch.dtype, rows: int, columns: int) -> ctypes.c_void_p:
        layout = ctypes.c_void_p()
        size = (ctypes.c_uint64(rows), ctypes.c_uint64(columns), ctypes.c_int64(rows))
        self._call("cublasLtMatrixLayoutCreate", ctypes.byref(layout), _TYPES[dtype], *size)
        return layout

    def _find(self, plan: _Plan, key: _Key, most: int = 8) -> list[_Algorithm]:
        """The library's own ranking of algorithms that split no sum among blocks; the same in every process."""
        preference = ctypes.c_void_p()
        self._call("cublasLtMatmulPreferenceCreate", ctypes.byref(preference))
        found, count = (_Algorithm * most)(), ctypes.c_int()
        try:
            self._prefer(preference, _MAX_WORKSPACE, ctypes.c_uint64(WORKSPACE_BYTES))
            self._prefer(preference, _REDUCTIONS, ctypes.c_uint32(0))
            self._call(
                "cublasLtMatmulAlgoGetHeuristic",
                self._handle,
                plan.operation,
                *plan.layouts,
                preference,
                most,
                found,
                ctypes.byref(count),
            )
        finally:
            self._library.cublasLtMatmulPreferenceDestroy(preference)
        usable = [found[i] for i in range(count.value) if found[i].state == 0]
        if not usable:
            raise RuntimeError(f"cuBLASLt has no product for {key}")
        return usable

    def _set(self, operation: ctypes.c_void_p, attribute: int, value: Any) -> None:  # noqa: ANN401  # any ctypes value
        size = ctypes.c_size_t(ctypes.sizeof(value))
        self._call("cublasLtMatmulDescSetAttribute", operation, attribute, ctypes.byref(value), size)

    def _prefer(self, preference: ctypes.c_void_p, attribute: int, value: Any) -> None:  # noqa: ANN401  # any ctypes value
        size = ctypes.c_size_t(ctypes.sizeof(value))
        self._call("cublasLtMatmulPreferenceSetAttribute", preference, attribute, ctypes.byref(value), size)

    def _call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401  # any ctypes value
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name} failed with status {status}")


_tuned: dict[tuple[str, _Key], _Algorithm] = {}


@cache
def _library() -> ctypes.CDLL:
    major = (torch.version.cuda or "13").partition(".")[0]
    try:
        return ctypes.CDLL(f"libcublasLt.so.{major}")
    except OSError as error:
        raise RuntimeError(f"cuBLASLt {major} cannot be loaded ({error})") from error


def _check(
    a: torch.Tensor, weight: torch.Tensor, out: torch.Tensor, bias: torch.Tensor | None, scales: Scales | None
) -> None:
    n, k = weight.shape
    if a.ndim != 2 or a.shape[1] != k or a.dtype != weight.dtype or a.dtype not in _TYPES:
        raise ValueError(f"a must be {weight.dtype} [M, {k}], not {a.dtype} {tuple(a.shape)}")
    if out.shape != (a.shape[0], n) or not all(t.is_contiguous() for t in (a, weight, out)):
        raise ValueError(f"a, weight and out must be contiguous, out [{a.shape[0]}, {n}] and not {tuple(out.shape)}")
    if (a.dtype == torch.float8_e4m3fn) != (scales is not None):
        raise ValueError("scales belong to float8 products, and every float8 product has them")
    if (out.dtype == torch.float8_e4m3fn) != (scales is not None and scales.inverse_out is not None):
        raise ValueError("scales.inverse_out belongs to float8 answers, and every float8 answer has it")
    wanted = torch.bfloat16 if out.dtype == torch.float8_e4m3fn else out.dtype
    if bias is not None and (bias.shape != (n,) or bias.dtype != wanted or not bias.is_contiguous()):
        raise ValueError(f"bias must be contiguous {wanted} [{n}], not {bias.dtype} {tuple(bias.shape)}")
