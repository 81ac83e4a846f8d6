"""Which weights of a network learn, each how fast, and LoRA's way in and out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from streetvision.errors import OperatorError
from streetvision.models.network import StreetVisionNet
from streetvision.training.recipe import OptimiserRecipe, TuneRecipe

LORA_TARGETS = r".*blocks\.\d+\.(attn\.(qkv|q_proj|k_proj|v_proj|proj)|mlp\.(fc1|fc2|fc1_g|fc1_x))"
"""The linear layers of timm's attention and MLP; peft matches whole names."""

Group = dict[str, Any]
"""A parameter group of torch's optimisers."""


def choose_weights(net: StreetVisionNet, tune: TuneRecipe) -> None:
    """Let those weights learn that the recipe names, and freeze the others, in place; LoRA's layers are put in."""
    net.backbone.requires_grad_(tune.method == "full")
    net.head.requires_grad_(True)
    if tune.method == "last":
        for part in (*net.backbone.blocks[-tune.blocks :], net.backbone.norm):
            part.requires_grad_(True)
    if tune.method == "lora":
        _put_lora_in(net, tune)


def _put_lora_in(net: StreetVisionNet, tune: TuneRecipe) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise OperatorError("LoRA needs the extra `train`: pip install 'streetvision[train]'") from error
    for module in net.backbone.modules():
        if hasattr(module, "qkv_bias_separate"):
            module.qkv_bias_separate = True  # else timm multiplies by the plain weight and passes LoRA by
    config = LoraConfig(r=tune.rank, lora_alpha=tune.alpha, lora_dropout=0.0, target_modules=LORA_TARGETS)
    inject_adapter_in_model(config, net.backbone)


def merge_lora(net: StreetVisionNet) -> None:
    """Add LoRA's updates to the weights they belong to and take its layers out, in place; a plain network is left."""
    from peft.tuners.lora import LoraLayer

    adapted = [(name, module) for name, module in net.backbone.named_modules() if isinstance(module, LoraLayer)]
    for name, module in adapted:
        module.merge(safe_merge=True)
        parent, _, child = name.rpartition(".")
        setattr(net.backbone.get_submodule(parent), child, module.get_base_layer())


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]], depth: int, tune: TuneRecipe, optimiser: OptimiserRecipe
) -> list[Group]:
    """What learns, in groups of one learning rate and decay: matrices decay, vectors do not.

    A block's rate is `layer_decay` times that of the block above it (Clark et al. 2020); all but the backbone has
    the full one. Names start with `backbone.` inside a StreetVisionNet, wherever that stands.
    """
    groups: dict[tuple[float, bool], Group] = {}
    for name, value in named:
        if not value.requires_grad:
            continue
        scale = tune.layer_decay ** (depth + 1 - layer_of(name, depth))
        decays = value.ndim > 1
        group = groups.setdefault(
            (scale, decays),
            {
                "params": [],
                "lr": optimiser.lr * scale,
                "weight_decay": optimiser.weight_decay if decays else 0.0,
            },
        )
        group["params"].append(value)
    return list(groups.values())


def layer_of(name: str, depth: int) -> int:
    """How deep a weight sits: 0 the patch embedding, 1 to `depth` the blocks, depth + 1 the last norm and the head."""
    _, within, rest = name.partition("backbone.")
    if not within:
        return depth + 1
    parts = rest.split(".")
    if parts[0] == "blocks":
        return int(parts[1]) + 1
    return depth + 1 if parts[0] == "norm" else 0


def learning(net: nn.Module) -> dict[str, torch.Tensor]:
    """The weights that learn, by name."""
    return {name: value for name, value in net.named_parameters() if value.requires_grad}
