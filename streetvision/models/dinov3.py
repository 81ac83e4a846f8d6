"""The model: a timm DINOv3 backbone and a head on CLS and mean patch token, the same module in training and service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from streetvision_kernels.head_oracle import head_oracle
from timm.models.eva import Eva
from torch import nn

from streetvision.models.checkpoint import load_checkpoint, weights_problem
from streetvision.models.config import CheckpointError, HeadConfig, ModelConfig

BUNDLED_ARCHITECTURE = "vit_small_patch16_dinov3"
BUNDLED_KWARGS: dict[str, int | float | bool] = {"embed_dim": 192, "depth": 12, "num_heads": 3}


Head = Callable[..., tuple[torch.Tensor, torch.Tensor]]


class PooledHead(nn.Module):
    """concat(CLS, mean patch token) -> LayerNorm -> linear -> one raw logit. Its parameters stay in float32."""

    def __init__(self, width: int, prefix: int, eps: float) -> None:
        super().__init__()
        self.prefix = prefix
        self.norm = nn.LayerNorm(2 * width, eps=eps)
        self.fc = nn.Linear(2 * width, 1)
        nn.init.trunc_normal_(self.fc.weight, std=0.02)
        nn.init.zeros_(self.fc.bias)

    def forward(
        self, tokens: torch.Tensor, *, scale: float = 1.0, shift: float = 0.0, fused: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [N, T, D] -> logits [N] and raw pooled embeddings [N, 2D], float32.

        `fused` takes the Triton kernel for tokens on CUDA; it has no backward.
        """
        head: Head = _triton_head() if fused and tokens.is_cuda else head_oracle
        return head(
            tokens,
            self.norm.weight,
            self.norm.bias,
            self.fc.weight[0],
            self.fc.bias,
            prefix=self.prefix,
            eps=self.norm.eps,
            scale=scale,
            shift=shift,
        )


class StreetVisionNet(nn.Module):
    """Backbone and head. `forward` is for training (raw logits); `forward_uint8` is for service (calibrated logits)."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, backbone: Eva, config: ModelConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.input_size = config.input_size
        self.head = PooledHead(backbone.num_features, backbone.num_prefix_tokens, config.head.eps)
        self.scale = 1.0 / config.temperature
        self.shift = config.logit_shift
        self.register_buffer("mean", torch.tensor(config.mean).mul(255.0), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).mul(255.0), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype that the backbone computes in."""
        return next(self.backbone.parameters()).dtype

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 [N, H, W, 3] (RGB) -> normalised [N, 3, H, W] in the backbone's dtype, on the images' device."""
        pixels = (images.float() - self.mean) / self.std
        return pixels.permute(0, 3, 1, 2).to(self.dtype)

    def tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised [N, 3, H, W] -> tokens [N, T, D] after the backbone's last norm: CLS, registers, patches."""
        return self.backbone.forward_features(pixels)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised [N, 3, H, W] -> raw logits [N] (no temperature, no threshold) and embeddings [N, 2D], float32."""
        logits, embeddings = self.head(self.tokens(pixels))
        return logits, embeddings

    def forward_uint8(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 [N, H, W, 3] -> calibrated logits [N] (0 decides) and raw pooled embeddings [N, 2D], float32."""
        tokens = self.tokens(self.preprocess(images))
        logits, embeddings = self.head(tokens, scale=self.scale, shift=self.shift, fused=True)
        return logits, embeddings

    def for_inference(self, device: torch.device | str, dtype: torch.dtype) -> StreetVisionNet:
        """Move to `device`, cast the backbone to `dtype` and freeze, in place.

        The head and the RoPE table keep float32: a bfloat16 table would turn the rotation into another one, and the
        attention casts back to `dtype` after rotating.
        """
        rope: Any = self.backbone.rope
        table = getattr(rope, "pos_embed_cached", None)
        if table is None:
            raise CheckpointError("The architecture has no DINOv3 RoPE table, so it cannot be served.")
        table = table.clone()
        self.backbone.to(dtype=dtype)
        rope.pos_embed_cached = table
        return self.to(device=device).eval().requires_grad_(False)


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to run and the description it was built from."""

    net: StreetVisionNet
    config: ModelConfig


def build(config: ModelConfig, *, drop_path_rate: float = 0.0) -> StreetVisionNet:
    """A randomly initialised network of that description, float32 on the CPU; `drop_path_rate` is for training.

    The image size is fixed at construction, so that timm keeps the RoPE table as a buffer: with a dynamic size it
    builds the table from CPU tensors in every forward, which a CUDA graph cannot capture.
    """
    backbone = _create_backbone(
        config.architecture,
        pretrained=False,
        img_size=config.input_size,
        drop_path_rate=drop_path_rate,
        **config.architecture_kwargs,
    )
    expected = 2 * backbone.num_features
    if config.head.embedding_dim != expected:
        raise CheckpointError(
            f"The model description is wrong: head.embedding_dim is {config.head.embedding_dim}, "
            f"but {config.architecture} gives {expected}."
        )
    return StreetVisionNet(backbone, config)


def tiny_config(*, name: str = "tiny", version: str = "0.0.0", depth: int = 12, width: int = 192) -> ModelConfig:
    """Description of the small DINOv3 that the package can carry: 64 channels a head, 4 registers, 224 pixels."""
    kwargs = BUNDLED_KWARGS | {"embed_dim": width, "num_heads": max(1, width // 64), "depth": depth}
    head = HeadConfig(embedding_dim=2 * width)
    return ModelConfig(name, version, BUNDLED_ARCHITECTURE, architecture_kwargs=kwargs, head=head)


def load(
    folder: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    untrained: bool = False,
) -> LoadedModel:
    """Load a checkpoint for inference; raises CheckpointError naming the first thing that does not fit.

    A backbone with a fresh head is refused unless `untrained`.
    """
    config, state = load_checkpoint(folder)
    if config.why_not_servable is not None and not untrained:
        raise CheckpointError(f"The model in {folder} may not serve: {config.why_not_servable}.")
    net = build(config)
    problem = weights_problem(net.state_dict(), state)
    if problem is not None:
        raise CheckpointError(f"The weights in {folder} do not fit their description: {problem}.")
    net.load_state_dict(state)
    return LoadedModel(net.for_inference(device, dtype), config)


def load_backbone_pretrained(net: StreetVisionNet, tag: str, *, file: Path | None = None) -> None:
    """Fill the backbone with pretrained weights, such as `vit_small_patch16_dinov3.lvd1689m`, for fine-tuning.

    Weights come from the Hugging Face hub through timm, or from `file` (safetensors) where one is given. Raises
    CheckpointError when they cannot be had or do not fit.
    """
    overlay = {"file": str(file), "hf_hub_id": None} if file is not None else None
    try:
        source = _create_backbone(tag, pretrained=True, img_size=net.input_size, pretrained_cfg_overlay=overlay)
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"The pretrained backbone {tag} could not be loaded ({error}).") from error
    problem = weights_problem(net.backbone.state_dict(), source.state_dict())
    if problem is not None:
        raise CheckpointError(f"The pretrained backbone {tag} does not fit this model: {problem}.")
    net.backbone.load_state_dict(source.state_dict())


def _create_backbone(name: str, *, pretrained: bool, **kwargs: Any) -> Eva:  # noqa: ANN401  # passed on to timm
    try:
        backbone = timm.create_model(name, pretrained=pretrained, num_classes=0, dynamic_img_size=False, **kwargs)
    except RuntimeError as error:
        if "Unknown model" not in str(error):
            raise
        raise CheckpointError(f"timm {timm.__version__} does not know the architecture {name!r}.") from error
    if not isinstance(backbone, Eva):
        raise CheckpointError(f"timm builds {name!r} as {type(backbone).__name__}, not as the expected Eva.")
    return backbone


def _triton_head() -> Head:
    """Import the kernel only where it runs: Triton exists on Linux alone."""
    from streetvision_kernels.head import fused_head

    return fused_head  # type: ignore[no-any-return]  # the kernels' import name carries no types for mypy
