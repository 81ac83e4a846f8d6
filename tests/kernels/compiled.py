"""Kernels as Triton compiles them for GPUs that this machine does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel
from triton.experimental.gluon._runtime import GluonASTSource


def compiled_for(
    kernel: Any,  # triton carries no types
    capability: tuple[int, int],
    *,
    tensors: Mapping[str, str],
    scalars: Mapping[str, str],
    constants: Mapping[str, int],
    **options: int | None,
) -> CompiledKernel:
    """`tensors` and `scalars` give the types of arguments, `constants` the values of what is known when compiling."""
    names = list(kernel.arg_names)
    kind = GluonASTSource if kernel.is_gluon() else ASTSource
    source = kind(
        kernel,
        {**tensors, **scalars, **dict.fromkeys(constants, "constexpr")},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        # Memory from torch is aligned, and the launcher tells the compiler so.
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in tensors},
    )
    return triton.compile(source, target=GPUTarget("cuda", 10 * capability[0] + capability[1], 32), options=options)
