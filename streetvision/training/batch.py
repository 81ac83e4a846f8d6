"""What a training step is fed: pictures as they were loaded, and the same pictures augmented."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch


@dataclass(frozen=True)
class RawBatch:
    """N loaded pictures, each squashed to one square canvas of side C so that they fit one tensor."""

    images: torch.Tensor
    """uint8 RGB [N, C, C, 3]."""
    sizes: torch.Tensor
    """int32 [N, 2]: true width and height in pixels, which the canvas has lost."""
    labels: torch.Tensor
    """float32 [N], 1 for roadwork."""
    weights: torch.Tensor
    """float32 [N], of the loss."""
    indices: torch.Tensor
    """int64 [N]: which of the loader's examples each one is."""

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> RawBatch:
        """The same on `device`; from pinned memory the copy does not hold up the caller."""
        moved = {one.name: getattr(self, one.name).to(device, non_blocking=True) for one in fields(self)}
        return replace(self, **moved)


@dataclass(frozen=True)
class Batch:
    """N augmented pictures with what is asked of them."""

    pixels: torch.Tensor
    """float32 RGB [N, 3, S, S] in [0, 255]."""
    targets: torch.Tensor
    """float32 [N], 1 for roadwork."""
    weights: torch.Tensor
    """float32 [N], of the loss."""
    patches: torch.Tensor | None = None
    """float32 [N, G * G], 1 where a patch shows roadwork; None where nobody knows."""
