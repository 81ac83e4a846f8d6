"""A tiny random SigLIP as open_clip keeps one on the hub: both towers, a description, a tokenizer of a few words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from timm.models import is_model, register_model
from timm.models.vision_transformer import VisionTransformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

NAME = "vit_nano_patch16_siglip_64"
WIDTH = 64
WORDS = ("<pad>", "<unk>", "road", "works", "an", "empty", "street", "cones", "strasse", "baustelle")


def vit_nano_patch16_siglip_64(pretrained: bool = False, **given: Any) -> VisionTransformer:
    """A tower that timm would have under such a name, were there one so small."""
    sizes: dict[str, Any] = {"img_size": 64, "patch_size": 16, "embed_dim": WIDTH, "depth": 2, "num_heads": 1}
    kept = {key: value for key, value in given.items() if key in ("img_size", "num_classes", "drop_path_rate")}
    return VisionTransformer(**{**sizes, "class_token": False, "global_pool": "map", **kept})


if not is_model(NAME):
    register_model(vit_nano_patch16_siglip_64)


def description(*, width: int = WIDTH, **text: Any) -> dict[str, Any]:
    return {
        "model_cfg": {
            "embed_dim": width,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {
                "image_size": 64,
                "timm_model_name": NAME,
                "timm_model_pretrained": False,
                "timm_pool": "map",
                "timm_proj": "none",
            },
            "text_cfg": {
                "context_length": 64,
                "vocab_size": len(WORDS),
                "hf_tokenizer_name": "timm/nano",
                "tokenizer_kwargs": {"clean": "canonicalize"},
                "width": 32,
                "heads": 2,
                "layers": 2,
                "no_causal_mask": True,
                "proj_bias": True,
                "pool_type": "last",
                "norm_kwargs": {"eps": 1e-6},
                "act_kwargs": {"approximate": "tanh"},
                **text,
            },
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"},
    }


def write_model(folder: Path) -> Any:
    """Write all files into `folder`; returns open_clip's own model with the same weights."""
    folder.mkdir(parents=True)
    told = description()
    torch.manual_seed(0)
    parts = {key: value for key, value in told["model_cfg"].items() if key != "custom_text"}
    model = open_clip.CustomTextCLIP(**parts).eval().requires_grad_(False)
    for weight in model.text.parameters():
        weight.normal_(std=0.3)
    model.visual.trunk.attn_pool.latent.normal_(std=2.0)
    model.visual.trunk.pos_embed.normal_(std=0.5)
    model.logit_scale.fill_(4.0)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(told))
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return model
