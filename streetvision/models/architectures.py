"""Which backbones a description may name, and the bounds of what it may change in them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from streetvision.models.checks import check, matches, number

PLAIN_VIT = "vit"
"""The vision transformer of 2020: learned positions, a class token, LayerNorm before each half of a block, GELU."""
DINOV3_PATCH = 16

_NAMES = re.compile(rf"{PLAIN_VIT}|vit_[a-z0-9_]+_patch16_dinov3(_qkvb)?")

Bounds = dict[str, tuple[type, float, float]]
"""Kind, smallest, largest: they keep a stranger's description from asking for absurd amounts of memory."""

_SHARED: Bounds = {
    "embed_dim": (int, 32, 8192),
    "depth": (int, 1, 80),
    "num_heads": (int, 1, 128),
    "mlp_ratio": (float, 0.5, 16.0),
    "qkv_bias": (bool, 0, 1),
}
_DINOV3: Bounds = _SHARED | {
    "num_reg_tokens": (int, 0, 64),
    "init_values": (float, 1e-9, 10.0),
    "rope_temperature": (float, 1.0, 1e6),
    "swiglu_mlp": (bool, 0, 1),
}
_VIT: Bounds = _SHARED | {"patch_size": (int, 4, 64), "norm_eps": (float, 1e-15, 1e-2)}


def check_architecture(name: object, kwargs: Mapping[str, object]) -> None:
    """Raise CheckpointError unless this backbone can be built; a plain `vit` must give all of its sizes."""
    matches("architecture", name, _NAMES, f"{PLAIN_VIT} or a timm DINOv3 name such as vit_small_patch16_dinov3")
    check(isinstance(kwargs, Mapping), "architecture_kwargs must be an object")
    bounds = _VIT if name == PLAIN_VIT else _DINOV3
    for key, value in kwargs.items():
        check(key in bounds, f"architecture_kwargs has the unknown key {key!r}")
        number(f"architecture_kwargs.{key}", value, *bounds[key])
    if name == PLAIN_VIT:
        for key in _VIT:
            check(key in kwargs, f"architecture_kwargs lacks {key!r}, which a plain {PLAIN_VIT} needs")
    _check_heads(name, kwargs.get("embed_dim"), kwargs.get("num_heads"))


def patch_size(name: str, kwargs: Mapping[str, int | float | bool]) -> int:
    """Side of a patch in pixels."""
    return int(kwargs["patch_size"]) if name == PLAIN_VIT else DINOV3_PATCH


def _check_heads(name: object, width: object, heads: object) -> None:
    if not isinstance(width, int) or not isinstance(heads, int):
        return
    if name == PLAIN_VIT:
        check(width % heads == 0, f"embed_dim {width} must be a multiple of num_heads ({heads})")
    else:
        check(width % (4 * heads) == 0, f"embed_dim {width} must be a multiple of 4 x num_heads ({heads}) for RoPE")
