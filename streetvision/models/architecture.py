"""What a kind of backbone says of itself; each stands in a file of its own in `architectures/`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from streetvision.models.checks import check, number

if TYPE_CHECKING:
    import torch
    from torch import nn

Kwargs = Mapping[str, int | float | bool]
"""Changes to an architecture, as a description gives them."""
Bounds = dict[str, tuple[type, float, float]]
"""Kind, smallest, largest: they keep a stranger's description from asking for absurd amounts of memory."""

SHARED: Bounds = {
    "embed_dim": (int, 32, 8192),
    "depth": (int, 1, 80),
    "num_heads": (int, 1, 128),
    "mlp_ratio": (float, 0.5, 16.0),
    "qkv_bias": (bool, 0, 1),
}
"""What every vision transformer has."""


class Architecture(ABC):
    """Names that a description may give it, the bounds of what may be changed in it, and how it is built.

    Checking needs no torch: `create` and `cast` import it themselves.
    """

    names: re.Pattern[str]
    described: str
    """The names as part of a sentence."""
    bounds: Bounds
    required: tuple[str, ...] = ()
    """Which of `bounds` a description must give."""
    head: str = "cls_mean_linear"
    """The kind of head that a pretrained backbone starts with."""
    imported_size: int | None = None
    """Side of the input, in pixels, that timm's model is made for when its weights are imported; None: its own."""

    def check(self, kwargs: Mapping[str, object]) -> None:
        """Raise CheckpointError unless it can be built with these."""
        for key, value in kwargs.items():
            check(key in self.bounds, f"architecture_kwargs has the unknown key {key!r}")
            number(f"architecture_kwargs.{key}", value, *self.bounds[key])
        for key in self.required:
            check(key in kwargs, f"architecture_kwargs lacks {key!r}, which {self.described} needs")

    @abstractmethod
    def patch_size(self, name: str, kwargs: Kwargs) -> int:
        """Side of a patch in pixels."""

    @abstractmethod
    def create(self, name: str, kwargs: Kwargs, *, input_size: int) -> nn.Module:
        """A randomly initialised backbone for images of that size; raises CheckpointError where it cannot be built.

        It gives tokens by `forward_features` and has `blocks`, `num_features` and `num_prefix_tokens`.
        """

    def at_size(self, state: dict[str, torch.Tensor], name: str, *, input_size: int) -> dict[str, torch.Tensor]:
        """A backbone's weights for an input of that many pixels; as they are where no weight belongs to a size."""
        return state

    def describe(self, name: str, model: nn.Module) -> tuple[str, Kwargs] | None:
        """Name and changes under which timm's `model` of that name would be described; None if it is another kind."""
        return None

    def timm_tokens(self, model: Any, pixels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401  # timm has no types
        """What timm's own model answers where a backbone answers tokens [N, T, D]; imports are compared with it."""
        tokens: torch.Tensor = model.forward_features(pixels)
        return tokens

    def cast(self, backbone: nn.Module, dtype: torch.dtype) -> None:
        """Make it compute in `dtype`, in place; raises CheckpointError where it cannot."""
        backbone.to(dtype=dtype)
