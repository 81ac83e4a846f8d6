"""A CPU's part in the choice of a forward: oneDNN's, in float32, and in bfloat16 or int8 where a gate allows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from streetvision.engine.types import ImageArray
from streetvision.models.network import StreetVisionNet
from streetvision.runner.precision import noise
from streetvision.runner.precision_cache import Spans

if TYPE_CHECKING:
    from streetvision.runner.cpu_forward import SmallForward
    from streetvision.runner.cpu_weights import Ranges

BATCH = 8
QUICK = ("int8", "bf16")
"""What `auto` tries, the quickest first."""
ENDS = ("low", "high")
"""The names under which a verdict keeps a channel's two values."""


class CpuForwards:
    """Unlike float8 on CUDA no name insists: a precision that fails its gate never serves."""

    own = "float32"
    max_apart = 1e-3
    """Float32 in another order moves it by a hundredth of that, a wrong product moves it anywhere."""

    def why_not(self, net: StreetVisionNet) -> str | None:
        """Why oneDNN's forward cannot run this network, as part of a sentence; None if it can."""
        try:
            from streetvision.runner.cpu_forward import missing_for_small
        except ImportError as error:
            return f"its parts cannot be imported ({error})"
        return missing_for_small(net)

    def failures(self) -> tuple[type[Exception], ...]:
        """What building or first running one may raise."""
        return (RuntimeError, NotImplementedError)

    def exact(self, net: StreetVisionNet) -> SmallForward:
        """Built in float32."""
        from streetvision.runner.cpu_forward import SmallForward

        return SmallForward(net.for_inference("cpu", torch.float32))

    def expected(self, net: StreetVisionNet) -> tuple[torch.Tensor, torch.Tensor]:
        """Noise is enough to find a product that is wrong on this processor, before it answers a validator."""
        pictures = torch.from_numpy(noise(net.input_size))
        return pictures, net.forward_uint8(pictures)[0]

    def candidates(self, precision: str) -> tuple[list[str], str]:
        """Those that the processor has the instructions for."""
        if precision == "default":
            return [], "it is a CPU's own"
        wanted = QUICK if precision == "auto" else (precision,)
        missing = {name: _missing(name) for name in wanted}
        reasons = "; ".join(f"no {name}: {why}" for name, why in missing.items())
        return [name for name in wanted if missing[name] is None], reasons

    def batches(self, images: ImageArray) -> list[torch.Tensor]:
        """Split into batches of eight."""
        return list(torch.split(torch.from_numpy(np.ascontiguousarray(images)), BATCH))

    def watch(self, exact: SmallForward, batches: Sequence[torch.Tensor]) -> tuple[torch.Tensor, Spans]:
        """Lowest and highest value of every channel."""
        logits, ranges = exact.watch(batches)
        spans = {f"{name}.{end}": span for name, ends in ranges.items() for end, span in zip(ENDS, ends, strict=True)}
        return logits, spans

    def quick(self, net: StreetVisionNet, name: str, spans: Spans) -> SmallForward:
        """Built in bfloat16 or int8."""
        from streetvision.runner.cpu_forward import SmallForward

        return SmallForward(net, ranges=_ranges(spans)) if name == "int8" else SmallForward(net, dtype=torch.bfloat16)


def _ranges(spans: Spans) -> Ranges:
    names = {key.rpartition(".")[0] for key in spans}
    return {name: (spans[f"{name}.low"], spans[f"{name}.high"]) for name in names}


def _missing(name: str) -> str | None:
    from streetvision.runner.cpu_forward import missing_for_bfloat16, missing_for_int8

    if name == "fp8":
        return "float8 is for GPUs"
    return missing_for_bfloat16() if name == "bf16" else missing_for_int8()
