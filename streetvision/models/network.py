"""The model: a vision transformer and a head on its tokens, the same module in training and service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from streetvision.models.architectures import architecture_of
from streetvision.models.checkpoint import load_checkpoint, weights_problem
from streetvision.models.checks import CheckpointError, check
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.folder import WEIGHTS_FILE, is_bundled, read_config, require_servable, require_weights
from streetvision.models.header import read_header
from streetvision.models.heads import head_kind
from streetvision.models.versions import BUNDLED


class WithoutRandomStart(TorchFunctionMode):
    """Leave parameters as the allocator gave them: whatever would change one in place does nothing.

    Drawing 300 million random numbers, only to overwrite them, takes seconds of a core that may be serving meanwhile.
    Buffers are computed as always. Holds for the present thread alone.
    """

    def __torch_function__(  # torch calls it for every operation under the mode
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  # whatever the operation returns
        given = kwargs or {}
        target = args[0] if args else given.get("tensor")
        name = getattr(func, "__name__", "")
        if isinstance(target, nn.Parameter) and name.endswith("_") and not name.startswith("_"):
            return target
        return func(*args, **given)


BUNDLED_ARCHITECTURE = "vit_small_patch16_dinov3"
BUNDLED_KWARGS: dict[str, int | float | bool] = {"embed_dim": 192, "depth": 12, "num_heads": 3}


class StreetVisionNet(nn.Module):
    """Backbone and head. `forward` is for training (raw logits); `forward_uint8` is for service (calibrated logits)."""

    backbone: Any
    """As its `Architecture` creates it."""
    head: Any
    """As its `HeadKind` builds it."""
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, backbone: nn.Module, config: ModelConfig) -> None:
        super().__init__()
        self.architecture = architecture_of(config.architecture)
        self.backbone = backbone
        self.input_size = config.input_size
        self.head = head_kind(config.head.kind).build(
            config.head, self.backbone.num_features, self.backbone.num_prefix_tokens
        )
        self.fused = True
        self.scale = 1.0 / config.temperature
        self.shift = config.logit_shift
        self.register_buffer("mean", torch.tensor(config.mean).mul(255.0), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).mul(255.0), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype that the backbone computes in."""
        dtype: torch.dtype = next(self.backbone.parameters()).dtype
        return dtype

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 [N, H, W, 3] (RGB) -> normalised [N, 3, H, W] in the backbone's dtype, on the images' device."""
        pixels = (images.float() - self.mean) / self.std
        return pixels.permute(0, 3, 1, 2).to(self.dtype)

    def tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised [N, 3, H, W] -> tokens [N, T, D] after the backbone's last norm: CLS, registers, patches."""
        tokens: torch.Tensor = self.backbone.forward_features(pixels)
        return tokens

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised [N, 3, H, W] -> raw logits [N] (no temperature, no threshold) and embeddings [N, E], float32."""
        logits, embeddings = self.head(self.tokens(pixels))
        return logits, embeddings

    def forward_uint8(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 [N, H, W, 3] -> calibrated logits [N] (0 decides) and raw pooled embeddings [N, E], float32."""
        tokens = self.tokens(self.preprocess(images))
        logits, embeddings = self.head(tokens, scale=self.scale, shift=self.shift, fused=self.fused)
        return logits, embeddings

    def for_inference(self, device: torch.device | str, dtype: torch.dtype) -> StreetVisionNet:
        """Move to `device`, cast the backbone to `dtype` and freeze, in place; the head keeps float32."""
        self.architecture.cast(self.backbone, dtype)
        self.fused = has_triton(torch.device(device))
        return self.to(device=device).eval().requires_grad_(False)


def has_triton(device: torch.device) -> bool:
    """Whether the head's kernel may run there: Triton supports GPUs from Ampere on. On a CPU it is never asked for."""
    return device.type != "cuda" or torch.cuda.get_device_capability(device) >= (8, 0)


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to run and the description it was built from."""

    net: StreetVisionNet
    config: ModelConfig
    bundled: bool = False
    """Whether it is the package's own, which has no version of its own to an operator."""

    @property
    def version(self) -> str:
        """What the model is called wherever it is named: as the registry names it."""
        return BUNDLED if self.bundled else self.config.version


def build(config: ModelConfig) -> StreetVisionNet:
    """A randomly initialised network of that description, float32 on the CPU."""
    backbone: Any = architecture_of(config.architecture).create(
        config.architecture,
        config.architecture_kwargs,
        input_size=config.input_size,
    )
    expected = head_kind(config.head.kind).embedding_dim(backbone.num_features)
    given = config.head.embedding_dim
    check(given == expected, f"head.embedding_dim is {given}, but {config.architecture} gives {expected}")
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
    config = read_config(folder)
    if not untrained:
        require_servable(folder, config)
    require_fit(folder, config)
    config, state = load_checkpoint(folder)
    with WithoutRandomStart():
        net = build(config)
    net.load_state_dict(state)
    return LoadedModel(net.for_inference(device, dtype), config, is_bundled(folder))


def require_fit(folder: Path, config: ModelConfig) -> None:
    """Compare names and shapes before anything large is read or built; raises CheckpointError.

    A stranger's description may claim 200 billion weights.
    """
    require_weights(folder)
    with torch.device("meta"):
        expected = build(config).state_dict()
    problem = weights_problem(expected, read_header(folder / WEIGHTS_FILE))
    if problem is not None:
        raise CheckpointError(f"The weights in {folder} do not fit their description: {problem}.")
