"""Which backbones the forwards of ours can compute, and their parts: a further kind is one more file beside these."""

from __future__ import annotations

from types import ModuleType

from streetvision.models.network import StreetVisionNet
from streetvision.runner import dinov3_parts, siglip_parts
from streetvision.runner.parts import NetworkParts

KINDS: tuple[ModuleType, ...] = (dinov3_parts, siglip_parts)
"""Each tells the class of its backbone (`KIND`), what it cannot do (`unsupported`), and takes one apart."""


def unsupported_backbone(net: StreetVisionNet) -> str | None:
    """What of its backbone no forward of ours computes, as part of a sentence; None if one computes it all."""
    kind = _kind(net)
    if kind is None:
        return "its backbone is neither a DINOv3 nor a SigLIP tower"
    problem: str | None = kind.unsupported(net.backbone)
    return problem


def parts_of(net: StreetVisionNet) -> NetworkParts:
    """The parts of its backbone; raises ValueError where one is unsupported."""
    problem = unsupported_backbone(net)
    kind = _kind(net)
    if problem is not None or kind is None:
        raise ValueError(f"a forward of ours cannot run this network: {problem}")
    parts: NetworkParts = kind.take_apart(net.backbone)
    return parts


def _kind(net: StreetVisionNet) -> ModuleType | None:
    return next((kind for kind in KINDS if isinstance(net.backbone, kind.KIND)), None)
