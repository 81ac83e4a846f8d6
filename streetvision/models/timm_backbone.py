"""A pretrained backbone from timm with a fresh head: where training starts, and never what serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors import SafetensorError
from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from timm.models.eva import Eva
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from streetvision.models.architectures.plain_vit import PLAIN_VIT
from streetvision.models.checkpoint import save_checkpoint, weights_problem
from streetvision.models.checks import CheckpointError
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.dinov3 import StreetVisionNet, build
from streetvision.models.header import read_header

DINOV3_INPUT = 224
"""Side that the subnet's challenges have; DINOv3 has no positions of its own, so any multiple of 16 can be trained."""
TOLERANCE = 1e-4

Fetch = Callable[[str], Path]
"""Brings the model.safetensors of a hub repository; raises OperatorError."""


def import_backbone(tag: str, target: Path, *, version: str, fetch: Fetch, file: Path | None = None) -> ModelConfig:
    """Write the backbone of a timm tag, such as `vit_small_patch16_dinov3.lvd1689m`, with a fresh head into `target`.

    Weights come by `fetch` from the repository that timm names, or from `file` (safetensors). Raises CheckpointError.
    """
    pretrained = _pretrained(tag)
    _require_served(tag)
    weights = file or fetch(_repository(tag, pretrained))
    if weights.suffix != ".safetensors" or not weights.is_file():
        raise CheckpointError(f"{weights} is no safetensors file: only those are read.")
    stored = read_header(weights)
    source = _create(tag, weights)
    expected = source.state_dict()
    missing = weights_problem(expected, {name: stored[name] for name in stored if name in expected})
    if missing is not None:  # timm itself would leave such a weight random
        raise CheckpointError(f"The weights in {weights} do not fit timm's {tag}: {missing}.")
    config = _describe(tag, version, source, pretrained)
    torch.manual_seed(0)
    net = build(config)
    problem = weights_problem(net.backbone.state_dict(), source.state_dict())
    if problem is None:
        net.backbone.load_state_dict(source.state_dict())
        problem = _disagreement(net, source)
    if problem is not None:
        raise CheckpointError(f"The backbone {tag} differs from the architectures that are served: {problem}.")
    return save_checkpoint(target, config, net.state_dict(), overwrite=True)


def default_version(tag: str) -> str:
    """Before every release, and telling which backbone it is: 0.0.0-vit-small-patch16-dinov3.lvd1689m."""
    return f"0.0.0-{tag.replace('_', '-')}"


def licence_of(tag: str) -> str:
    """The licence of a timm tag's weights as timm names it; empty where it does not say."""
    return str(_pretrained(tag).get("license") or "")


def _pretrained(tag: str) -> dict[str, Any]:
    try:
        config = timm.get_pretrained_cfg(tag, allow_unregistered=False)
    except RuntimeError as error:
        raise CheckpointError(f"timm {timm.__version__} knows no pretrained model {tag!r}.") from error
    return {} if config is None else asdict(config)


def _repository(tag: str, pretrained: dict[str, Any]) -> str:
    repo = pretrained.get("hf_hub_id") or ""
    if not repo:
        raise CheckpointError(f"timm keeps no weights of {tag} on the hub: give the file with --weights.")
    return f"{repo}{pretrained.get('architecture')}.{pretrained.get('tag')}" if repo.endswith("/") else str(repo)


def _require_served(tag: str) -> None:
    """Look at the architecture alone, before anything is fetched."""
    with torch.device("meta"):
        model: object = timm.create_model(tag, pretrained=False, num_classes=0)
    dinov3 = isinstance(model, Eva) and "_patch16_dinov3" in tag
    if not dinov3 and not (type(model) is VisionTransformer and _is_plain(model)):
        raise CheckpointError(f"{tag} is neither a DINOv3 nor a plain vision transformer, and only those are served.")


def _create(tag: str, weights: Path) -> Eva | VisionTransformer:
    """timm's own model with these weights; what it would fetch by itself is switched off."""
    overlay = {"file": str(weights), "hf_hub_id": None, "url": "", "custom_load": False}
    sizes: dict[str, Any] = {"img_size": DINOV3_INPUT} if "dinov3" in tag else {}
    try:
        model = timm.create_model(
            tag, pretrained=True, num_classes=0, dynamic_img_size=False, pretrained_cfg_overlay=overlay, **sizes
        )
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"The weights in {weights} do not fit timm's {tag} ({_line(error)}).") from error
    return cast(Eva | VisionTransformer, model.eval())


def _is_plain(model: VisionTransformer) -> bool:
    block: Any = model.blocks[0]
    return (
        model.has_class_token
        and model.num_prefix_tokens == 1
        and not model.no_embed_class
        and isinstance(model.norm_pre, nn.Identity)
        and isinstance(model.norm, nn.LayerNorm)
        and type(block) is Block
        and type(block.attn) is Attention
        and type(block.mlp) is Mlp
        and isinstance(block.mlp.act, nn.GELU)
    )


def _describe(tag: str, version: str, source: Eva | VisionTransformer, pretrained: dict[str, Any]) -> ModelConfig:
    plain = isinstance(source, VisionTransformer)
    embed: Any = source.patch_embed
    return ModelConfig(
        name=tag,
        version=version,
        architecture=PLAIN_VIT if plain else timm.models.split_model_name_tag(tag)[0],
        architecture_kwargs=_sizes(source) if isinstance(source, VisionTransformer) else {},
        input_size=embed.img_size[0],
        mean=tuple(pretrained["mean"]),
        std=tuple(pretrained["std"]),
        head=HeadConfig(embedding_dim=2 * source.num_features),
        card={"untrained": True, "what": f"The pretrained backbone {tag} with a fresh head.", "backbone": tag},
    )


def _sizes(source: VisionTransformer) -> dict[str, int | float | bool]:
    block: Any = source.blocks[0]
    norm: Any = source.norm
    return {
        "patch_size": source.patch_embed.patch_size[0],
        "embed_dim": source.embed_dim,
        "depth": len(source.blocks),
        "num_heads": block.attn.num_heads,
        "mlp_ratio": block.mlp.fc1.out_features / source.embed_dim,
        "qkv_bias": block.attn.qkv.bias is not None,
        "norm_eps": norm.eps,
    }


def _disagreement(net: StreetVisionNet, source: Eva | VisionTransformer) -> str | None:
    """Whether our backbone gives other tokens than timm's, as a clause."""
    side = net.input_size
    pixels = torch.randn((1, 3, side, side), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, theirs = net.eval().tokens(pixels), source.forward_features(pixels)
    gap = float((ours - theirs).abs().max())
    return None if gap <= TOLERANCE else f"its tokens differ by {gap:.2g}"


def _line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
