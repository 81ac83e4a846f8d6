"""A pretrained backbone from timm with a fresh head: where training starts, and never what serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError

from streetvision.models.architecture import Architecture, Kwargs
from streetvision.models.architectures import architectures
from streetvision.models.checkpoint import save_checkpoint, weights_problem
from streetvision.models.checks import CheckpointError
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.header import read_header
from streetvision.models.heads import head_kind
from streetvision.models.network import StreetVisionNet, build

TOLERANCE = 1e-4

Fetch = Callable[[str], Path]
"""Brings the model.safetensors of a hub repository; raises OperatorError."""


def import_backbone(tag: str, target: Path, *, version: str, fetch: Fetch, file: Path | None = None) -> ModelConfig:
    """Write the backbone of a timm tag, such as `vit_small_patch16_dinov3.lvd1689m`, with a fresh head into `target`.

    Weights come by `fetch` from the repository that timm names, or from `file` (safetensors). Raises CheckpointError.
    """
    pretrained = _pretrained(tag)
    known, name, kwargs = _served(tag)
    weights = file or fetch(_repository(tag, pretrained))
    if weights.suffix != ".safetensors" or not weights.is_file():
        raise CheckpointError(f"{weights} is no safetensors file: only those are read.")
    stored = read_header(weights)
    source = _create(tag, weights, known)
    expected = source.state_dict()
    missing = weights_problem(expected, {name: stored[name] for name in stored if name in expected})
    if missing is not None:  # timm itself would leave such a weight random
        raise CheckpointError(f"The weights in {weights} do not fit timm's {tag}: {missing}.")
    config = _described(tag, version, source, pretrained, known, name, kwargs)
    torch.manual_seed(0)
    net = build(config)
    problem = weights_problem(net.backbone.state_dict(), source.state_dict())
    if problem is None:
        net.backbone.load_state_dict(source.state_dict())
        problem = _disagreement(net, source, known)
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


def _served(tag: str) -> tuple[Architecture, str, Kwargs]:
    """The architecture of a tag, its name and its changes, by a look at timm's model before anything is fetched."""
    name = timm.models.split_model_name_tag(tag)[0]
    with torch.device("meta"):
        model = timm.create_model(tag, pretrained=False, num_classes=0)
    for known in architectures():
        described = known.describe(name, model)
        if described is not None:
            return known, *described
    raise CheckpointError(
        f"{tag} is neither a DINOv3 nor a plain vision transformer nor a SigLIP image tower, and only those are served."
    )


def _create(tag: str, weights: Path, known: Architecture) -> Any:  # noqa: ANN401  # timm's modules carry no types
    """timm's own model with these weights; what it would fetch by itself is switched off."""
    overlay = {"file": str(weights), "hf_hub_id": None, "url": "", "custom_load": False}
    sizes: dict[str, Any] = {} if known.imported_size is None else {"img_size": known.imported_size}
    try:
        model = timm.create_model(
            tag, pretrained=True, num_classes=0, dynamic_img_size=False, pretrained_cfg_overlay=overlay, **sizes
        )
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"The weights in {weights} do not fit timm's {tag} ({_line(error)}).") from error
    return model.eval()


def _described(  # noqa: PLR0917  # a tag, and all that is known of it
    tag: str,
    version: str,
    source: Any,  # noqa: ANN401  # timm's modules carry no types
    pretrained: dict[str, Any],
    known: Architecture,
    name: str,
    kwargs: Kwargs,
) -> ModelConfig:
    return ModelConfig(
        name=tag,
        version=version,
        architecture=name,
        architecture_kwargs=kwargs,
        input_size=source.patch_embed.img_size[0],
        mean=tuple(pretrained["mean"]),
        std=tuple(pretrained["std"]),
        head=HeadConfig(known.head, head_kind(known.head).embedding_dim(source.num_features)),
        card={"untrained": True, "what": f"The pretrained backbone {tag} with a fresh head.", "backbone": tag},
    )


def _disagreement(
    net: StreetVisionNet,
    source: Any,  # noqa: ANN401  # timm's modules carry no types
    known: Architecture,
) -> str | None:
    """Whether our backbone gives other tokens than timm's, as a clause."""
    side = net.input_size
    pixels = torch.randn((1, 3, side, side), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, theirs = net.eval().tokens(pixels), known.timm_tokens(source, pixels)
    gap = float((ours - theirs).abs().max())
    return None if gap <= TOLERANCE else f"its tokens differ by {gap:.2g}"


def _line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
