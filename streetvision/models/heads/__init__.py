"""The classifiers on top of a backbone's tokens: every file in this folder is one, named as `head.kind` names it.

A new head is a new file with the two functions of `HeadKind`. Heads' parameters stay in float32.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from torch import nn

    from streetvision.models.config import HeadConfig


class HeadKind(Protocol):
    """The file of a head."""

    def embedding_dim(self, width: int) -> int:
        """Size of the embedding that it pools from a backbone of `width` channels."""
        ...

    def build(self, config: HeadConfig, width: int, prefix: int) -> nn.Module:
        """Over a backbone of `width` channels and `prefix` tokens before the patches; may raise CheckpointError.

        It is called as `head(tokens, scale=1.0, shift=0.0, fused=False)` with tokens [N, T, D] and returns logits [N],
        raw * scale - shift, and embeddings [N, embedding_dim], float32. `fused` allows kernels without a backward.
        """
        ...


@cache
def head_kinds() -> tuple[str, ...]:
    """The names that a description may give; no head is imported."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def head_kind(name: str) -> HeadKind:
    """One of `head_kinds`; brings torch."""
    return cast(HeadKind, import_module(f"{__name__}.{name}"))
