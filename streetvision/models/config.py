"""The description of a model, `model.json`: everything needed to build it and to read its answers, strictly checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from streetvision.models.architectures import architecture_of, check_architecture
from streetvision.models.checks import (
    FORMAT,
    SHA256,
    check,
    common_fields,
    exact_keys,
    is_match,
    load_json,
    number,
    to_json_text,
    triple,
)
from streetvision.models.heads import head_kinds

RESIZE_RULES = ("squash", "crop")
RESAMPLE_FILTERS = ("bicubic", "bilinear", "lanczos", "hamming", "box", "nearest")
MAX_CLASSES = 1000
MAX_INPUT_SIZE = 2048


@dataclass(frozen=True)
class HeadConfig:
    """The classifier on top of the backbone's tokens."""

    kind: str = "cls_mean_linear"
    """The name of its file in `models/heads`, which says what it computes."""
    embedding_dim: int = 384
    """Size of the pooled embedding."""
    eps: float = 1e-5
    """Epsilon of the head's LayerNorm, where it has one."""
    classes: int = 1
    """Outputs of the linear layer; a single one is the logit itself."""
    positive: tuple[int, ...] = (0,)
    """Which of the classes mean roadwork."""

    def __post_init__(self) -> None:
        check(self.kind in head_kinds(), f"head.kind must be one of {', '.join(head_kinds())}, not {self.kind!r:.200}")
        number("head.embedding_dim", self.embedding_dim, int, 2, 1 << 16)
        number("head.eps", self.eps, float, 1e-12, 1.0)
        number("head.classes", self.classes, int, 1, MAX_CLASSES)
        check(isinstance(self.positive, tuple), "head.positive must be a list of classes")
        for index in self.positive:
            number("head.positive", index, int, 0, self.classes - 1)
        distinct = len(set(self.positive)) == len(self.positive)
        fewest, most = 1, max(1, self.classes - 1)
        check(distinct and fewest <= len(self.positive) <= most, "head.positive must name some classes, and not all")


@dataclass(frozen=True)
class ModelConfig:
    """All that `model.json` says. Construction checks every field and raises CheckpointError with one sentence."""

    name: str
    version: str
    """Semantic version, X.Y.Z."""
    architecture: str
    """timm name of a DINOv3 or SigLIP backbone, such as vit_small_patch16_dinov3 or vit_base_patch16_siglip_224, or
    `vit` for a plain vision transformer."""
    architecture_kwargs: Mapping[str, int | float | bool] = field(default_factory=dict)
    """Changes to that architecture: embed_dim, depth, num_heads and a few more. A plain `vit` needs all of its own."""
    input_size: int = 224
    """Side of the square input in pixels; a multiple of the patch size."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Per channel (RGB), of pixels scaled to [0, 1]."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: str = "squash"
    """How an image becomes square: `squash` scales both sides, `crop` scales the shorter and cuts the centre."""
    resample: str = "bicubic"
    """The filter of that scaling, as Pillow names it."""
    head: HeadConfig = field(default_factory=HeadConfig)
    temperature: float = 1.0
    """Divides the raw logit: sigmoid(raw / temperature) is the calibrated probability."""
    threshold: float = 0.5
    """Calibrated probability at which the decision flips; the answer is shifted so that this becomes 0.5."""
    sha256: str = ""
    """Of model.safetensors, hexadecimal; empty until the checkpoint is saved."""
    created: str = ""
    """ISO 8601 with a UTC offset; empty if unknown."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """For people: what the model is, its data, metrics and limits."""
    format: int = FORMAT

    def __post_init__(self) -> None:
        common_fields(self.format, self.name, self.version, self.created, self.card)
        check_architecture(self.architecture, self.architecture_kwargs)
        patch = architecture_of(self.architecture).patch_size(self.architecture, self.architecture_kwargs)
        number("input_size", self.input_size, int, 2 * patch, MAX_INPUT_SIZE)
        check(self.input_size % patch == 0, f"input_size must be a multiple of {patch}, not {self.input_size}")
        triple("mean", self.mean, 0.0, 1.0)
        triple("std", self.std, 1e-3, 10.0)
        check(self.resize in RESIZE_RULES, f"resize must be one of {', '.join(RESIZE_RULES)}, not {self.resize!r}")
        check(
            self.resample in RESAMPLE_FILTERS,
            f"resample must be one of {', '.join(RESAMPLE_FILTERS)}, not {self.resample!r}",
        )
        check(isinstance(self.head, HeadConfig), "head must be an object")
        number("temperature", self.temperature, float, 1e-3, 1e3)
        number("threshold", self.threshold, float, 1e-4, 1 - 1e-4)
        check(self.sha256 == "" or is_match(self.sha256, SHA256), "sha256 must be 64 hexadecimal digits")

    @property
    def logit_shift(self) -> float:
        """logit(threshold): subtracted from raw / temperature, so that a probability of 0.5 is the decision."""
        return math.log(self.threshold / (1.0 - self.threshold))

    @property
    def why_not_servable(self) -> str | None:
        """Why a sound checkpoint may not serve, as a clause; None when it may."""
        return "its head is fresh and has learnt nothing yet: train it first" if self.card.get("untrained") else None

    def to_json(self) -> str:
        """The description as JSON text; `from_json` reads it back to an equal config."""
        return to_json_text("The model description", asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Parse a saved description; unknown or missing keys, wrong types and bad ranges raise CheckpointError."""
        values = exact_keys("model.json", load_json("model.json", text), cls, optional=("resample",))
        head = exact_keys("head", values["head"], HeadConfig, optional=("classes", "positive"))
        if "positive" in head:
            check(isinstance(head["positive"], list), "head.positive must be a list of classes")
            head["positive"] = tuple(head["positive"])
        values["head"] = HeadConfig(**head)
        for name in ("mean", "std"):
            check(isinstance(values[name], list), f"{name} must be a list of 3 numbers")
            values[name] = tuple(values[name])
        config = cls(**values)
        check(config.sha256 != "", "sha256 of the weights is missing")
        return config
