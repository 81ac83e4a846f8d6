"""Converting a transformers ViT image classifier to a checkpoint of ours; transformers itself is not needed.

Its logits stay what they were: two softmax outputs become one logit, their difference, and of more outputs the head
keeps all and answers the log-odds of the positive ones. Layout and names are those of `ViTForImageClassification`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from streetvision.models.architectures.plain_vit import PLAIN_VIT
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.checks import CheckpointError, load_json
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.folder import read_description, require_weights
from streetvision.models.header import read_header
from streetvision.models.transformers_images import labels_of, positive_classes, read_preparation

CONFIG = "config.json"
CLASSIFIER = "ViTForImageClassification"

StateDict = dict[str, torch.Tensor]

_IGNORED = ("vit.pooler.", "vit.embeddings.mask_token")
_OUTER = {
    "vit.embeddings.cls_token": "backbone.cls_token",
    "vit.embeddings.position_embeddings": "backbone.pos_embed",
    "vit.embeddings.patch_embeddings.projection": "backbone.patch_embed.proj",
    "vit.layernorm": "backbone.norm",
}
_INNER = {
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}


def convert(
    source: Path, target: Path, *, name: str, version: str, positive: Sequence[str] = (), made_from: str
) -> ModelConfig:
    """Write the classifier in `source` as a checkpoint into `target`; raises CheckpointError for what is none.

    `positive` names the labels that mean roadwork; empty: found by their words (`transformers_images`).
    """
    fields = _read_fields(source)
    kwargs, size = _architecture(fields)
    preparation = read_preparation(source, size)
    header = read_header(require_weights(source))
    if "classifier.weight" not in header or len(header["classifier.weight"].shape) != 2:
        raise CheckpointError(f"{source} holds no classifier: fine-tune it for image classification first.")
    outputs, width = header["classifier.weight"].shape
    labels = labels_of(fields.get("id2label"), outputs)
    chosen = positive_classes(labels, positive)
    state = _load(source)
    converted = _backbone(state, source, depth=int(kwargs["depth"]))
    head = _head(converted, state, fields, chosen, width)
    card = {
        "what": f"Converted from a transformers {CLASSIFIER}.",
        "made_from": made_from,
        "labels": list(labels),
        "positive": [labels[index] for index in chosen],
    }
    config = ModelConfig(name, version, PLAIN_VIT, kwargs, size, head=head, card=card, **preparation)
    return save_checkpoint(target, config, converted, overwrite=True)


def _load(source: Path) -> StateDict:
    try:
        return load_file(require_weights(source))
    except SafetensorError as error:
        raise CheckpointError(f"{source} holds no valid safetensors file ({error}).") from error


def _read_fields(source: Path) -> dict[str, Any]:
    fields = load_json(CONFIG, read_description(source, CONFIG))
    if not isinstance(fields, dict):
        raise CheckpointError(f"{source / CONFIG} holds no JSON object.")
    kind, classes = fields.get("model_type"), fields.get("architectures") or [CLASSIFIER]
    if kind != "vit" or classes != [CLASSIFIER]:
        raise CheckpointError(
            f"{source} holds a {kind!r:.60} model ({classes!r:.100}); of transformers' models only {CLASSIFIER} is "
            "converted."
        )
    if fields.get("hidden_act", "gelu") != "gelu":
        raise CheckpointError(f"{source} uses the activation {fields['hidden_act']!r:.60}; only gelu is converted.")
    if fields.get("num_channels", 3) != 3:
        raise CheckpointError(f"{source} does not take RGB images.")
    return fields


def _architecture(fields: Mapping[str, Any]) -> tuple[dict[str, int | float | bool], int]:
    """Sizes as `ModelConfig` checks them, and the input's side. Defaults are those of transformers' ViTConfig."""
    width = _whole(fields, "hidden_size", 768)
    kwargs: dict[str, int | float | bool] = {
        "patch_size": _whole(fields, "patch_size", 16),
        "embed_dim": width,
        "depth": _whole(fields, "num_hidden_layers", 12),
        "num_heads": _whole(fields, "num_attention_heads", 12),
        "mlp_ratio": _whole(fields, "intermediate_size", 3072) / width,
        "qkv_bias": fields.get("qkv_bias", True),
        "norm_eps": fields.get("layer_norm_eps", 1e-12),
    }
    return kwargs, _whole(fields, "image_size", 224)


def _whole(fields: Mapping[str, Any], name: str, default: int) -> int:
    value = fields.get(name, default)
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1 << 16:
        raise CheckpointError(f"{CONFIG}: {name} must be a whole number above 0, not {value!r:.60}.")
    return value


def _backbone(state: StateDict, source: Path, *, depth: int) -> StateDict:
    """The backbone's tensors under timm's names; whatever is left over is not part of a ViT."""
    converted: StateDict = {}
    left = {name for name in state if not name.startswith(("classifier.", *_IGNORED))}
    for name in sorted(left):
        renamed = _renamed(name)
        if renamed is not None:
            converted[renamed] = state[name]
            left.discard(name)
    for index in range(depth):
        for part in ("weight", "bias"):
            names = [
                f"vit.encoder.layer.{index}.attention.attention.{what}.{part}" for what in ("query", "key", "value")
            ]
            if left.issuperset(names):
                converted[f"backbone.blocks.{index}.attn.qkv.{part}"] = torch.cat([state[name] for name in names])
                left.difference_update(names)
    if left:
        raise CheckpointError(f"The weight {min(left)[:100]!r} in {source} is not part of a {CLASSIFIER}.")
    return converted


def _renamed(name: str) -> str | None:
    """timm's name of a tensor that is taken as it is; None for the attention's inputs and for strangers."""
    stem, _, part = name.rpartition(".")
    if name in _OUTER:
        return _OUTER[name]
    if stem in _OUTER:
        return f"{_OUTER[stem]}.{part}"
    if stem.startswith("vit.encoder.layer."):
        index, _, inner = stem.removeprefix("vit.encoder.layer.").partition(".")
        if index.isdecimal() and inner in _INNER:
            return f"backbone.blocks.{index}.{_INNER[inner]}.{part}"
    return None


def _head(
    converted: StateDict, state: StateDict, fields: Mapping[str, Any], positive: tuple[int, ...], width: int
) -> HeadConfig:
    """Put the classifier into `converted` and describe it."""
    weight = state["classifier.weight"].float()
    bias = state["classifier.bias"].float() if "classifier.bias" in state else torch.zeros(len(weight))
    head = HeadConfig("cls_linear", width)
    if fields.get("problem_type") in ("multi_label_classification", "regression") or len(weight) == 1:
        if fields.get("problem_type") == "regression" or len(positive) > 1:
            raise CheckpointError(
                "A classifier with an output of its own for each label is converted for exactly one positive label, "
                "and a regression not at all."
            )
        weight, bias = weight[list(positive)], bias[list(positive)]
    elif len(weight) == 2:
        (one,) = positive
        weight, bias = (weight[one] - weight[1 - one])[None], (bias[one] - bias[1 - one])[None]
    else:
        head = HeadConfig("cls_linear", width, classes=len(weight), positive=positive)
    converted["head.fc.weight"], converted["head.fc.bias"] = weight, bias
    return head
