"""Kernels as Triton compiles them for GPUs that this machine does not have."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import triton
from streetvision_kernels.chip import Chip
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel
from triton.experimental.gluon._runtime import GluonASTSource

H100 = Chip((9, 0), 132, 65536, 232448, 2048)
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
"""Not in every release of Triton."""


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


def usage(kernel: CompiledKernel, what: str, folder: Path) -> int:
    """What a thread takes of `what`, as CUOBJDUMP names it: REG, registers; STACK, bytes that do not fit in them."""
    binary = folder / "kernel.cubin"
    binary.write_bytes(kernel.asm["cubin"])
    told = subprocess.run([CUOBJDUMP, "-res-usage", binary], capture_output=True, text=True, check=True, timeout=60)
    return int(re.findall(rf"{what}:(\d+)", told.stdout)[0])
