"""CUDA's part in the choice of a forward: cuBLASLt's and Triton's, in bfloat16, or in float8 where a gate allows it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from streetvision.engine.types import ImageArray
from streetvision.models.network import StreetVisionNet
from streetvision.runner.calibration_images import calibration_images
from streetvision.runner.precision_cache import Spans

if TYPE_CHECKING:
    from streetvision.runner.cuda_forward import FastForward

BATCH = 64
CHECKED_IMAGES, CHECKED_SCENES = 16, 4


class CudaForwards:
    """On one device; `fp8` insists on float8 whatever its gate says."""

    own = "bf16"
    max_apart = 0.05
    """Bfloat16's own rounding has moved it by 0.017 at most, a wrong kernel moves it anywhere."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def why_not(self, net: StreetVisionNet) -> str | None:
        """Why the fast forward cannot run this network there, as part of a sentence; None if it can."""
        if self._device.type != "cuda":
            return "it needs a CUDA device"
        try:
            from streetvision.runner.cuda_forward import missing_for_fast
        except ImportError as error:
            return f"its kernels cannot be imported ({error})"
        return missing_for_fast(net, self._device)

    def failures(self) -> tuple[type[Exception], ...]:
        """What building or first running one may raise: no compiler, or a library or chip that lacks it."""
        import subprocess

        from triton.errors import TritonError

        return (RuntimeError, OSError, subprocess.SubprocessError, TritonError)

    def exact(self, net: StreetVisionNet) -> FastForward:
        """Built in bfloat16."""
        from streetvision.runner.cuda_forward import FastForward

        return FastForward(net, self._device)

    def expected(self, net: StreetVisionNet) -> tuple[torch.Tensor, torch.Tensor]:
        """Drawn pictures show kernels that are wrong on this chip or driver, before they answer a validator."""
        drawn = calibration_images(net.input_size, scenes=CHECKED_SCENES, count=CHECKED_IMAGES)
        images = torch.from_numpy(drawn).to(self._device)
        reference = copy.deepcopy(net).for_inference(self._device, torch.float32)
        tokens = reference.tokens(reference.preprocess(images))
        logits, _ = reference.head(tokens, scale=net.scale, shift=net.shift)  # no kernel of ours has a part in it
        return images, logits

    def candidates(self, precision: str) -> tuple[list[str], str]:
        """Float8, where the device has it."""
        from streetvision.runner.cuda_forward import has_float8

        own = {"default": "it is a GPU's own", "int8": "int8 is for CPUs", "bf16": "bfloat16 was asked for"}
        if precision in own:
            return [], own[precision]
        if not has_float8(self._device):
            return [], f"{torch.cuda.get_device_name(self._device)} has no float8"
        return ["fp8"], ""

    def batches(self, images: ImageArray) -> list[torch.Tensor]:
        """Split into equal batches; the last is filled up with the first images."""
        whole = -len(images) % BATCH
        filled = np.concatenate((images, images[np.arange(whole) % len(images)])) if whole else images
        return list(torch.split(torch.from_numpy(np.ascontiguousarray(filled)).to(self._device), BATCH))

    def watch(self, exact: FastForward, batches: Sequence[torch.Tensor]) -> tuple[torch.Tensor, Spans]:
        """The largest magnitude that enters each product."""
        peaks = exact.observe(batches)
        spans = {name: torch.tensor(peak, dtype=torch.float64) for name, peak in peaks.items()}
        return torch.cat([exact(batch)[0] for batch in batches]), spans

    def quick(self, net: StreetVisionNet, name: str, spans: Spans) -> FastForward:
        """Built in float8."""
        from streetvision.runner.cuda_forward import FastForward

        return FastForward(net, self._device, peaks={name: float(peak) for name, peak in spans.items()})
