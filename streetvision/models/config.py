"""The description of a model, `model.json`: everything needed to build it and to read its answers, strictly checked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, NoReturn

from streetvision.errors import OperatorError

FORMAT = 1
HEAD_KINDS = ("cls_mean_linear",)
RESIZE_RULES = ("squash", "crop")
MAX_INPUT_SIZE = 2048
PATCH = 16

_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_ARCHITECTURE = re.compile(r"vit_[a-z0-9_]+_patch16_dinov3(_qkvb)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")

# kind, smallest, largest: bounds keep a stranger's description from asking for absurd amounts of memory.
_ARCHITECTURE_KWARGS: dict[str, tuple[type, float, float]] = {
    "embed_dim": (int, 32, 8192),
    "depth": (int, 1, 80),
    "num_heads": (int, 1, 128),
    "num_reg_tokens": (int, 0, 64),
    "mlp_ratio": (float, 0.5, 16.0),
    "init_values": (float, 1e-9, 10.0),
    "rope_temperature": (float, 1.0, 1e6),
    "qkv_bias": (bool, 0, 1),
    "swiglu_mlp": (bool, 0, 1),
}


class CheckpointError(OperatorError):
    """A checkpoint cannot be used; the message is one sentence that names what is wrong with it."""


@dataclass(frozen=True)
class HeadConfig:
    """The classifier on top of the backbone's tokens."""

    kind: str = "cls_mean_linear"
    """`cls_mean_linear`: concat(CLS, mean patch token) -> LayerNorm -> linear -> one logit."""
    embedding_dim: int = 384
    """Size of the pooled embedding: twice the backbone's width."""
    eps: float = 1e-5
    """Epsilon of the head's LayerNorm."""

    def __post_init__(self) -> None:
        _check(self.kind in HEAD_KINDS, f"head.kind must be one of {', '.join(HEAD_KINDS)}, not {self.kind!r}")
        _number("head.embedding_dim", self.embedding_dim, int, 2, 1 << 16)
        _number("head.eps", self.eps, float, 1e-12, 1.0)


@dataclass(frozen=True)
class ModelConfig:
    """All that `model.json` says. Construction checks every field and raises CheckpointError with one sentence."""

    name: str
    version: str
    """Semantic version, X.Y.Z."""
    architecture: str
    """timm name of the backbone, such as vit_small_patch16_dinov3."""
    architecture_kwargs: Mapping[str, int | float | bool] = field(default_factory=dict)
    """Changes to that architecture: embed_dim, depth, num_heads, mlp_ratio, num_reg_tokens and a few more."""
    input_size: int = 224
    """Side of the square input in pixels; a multiple of the patch size, 16."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Per channel (RGB), of pixels scaled to [0, 1]."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: str = "squash"
    """How an image becomes square: `squash` scales both sides, `crop` scales the shorter and cuts the centre."""
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
        _check(
            _is(self.format, int) and self.format == FORMAT,
            f"format {self.format!r} is not {FORMAT}; update streetvision",
        )
        _text("name", self.name)
        _matches("version", self.version, _SEMVER, "a semantic version such as 1.0.0")
        _matches(
            "architecture", self.architecture, _ARCHITECTURE, "a timm DINOv3 name such as vit_small_patch16_dinov3"
        )
        _check_kwargs(self.architecture_kwargs)
        _number("input_size", self.input_size, int, 2 * PATCH, MAX_INPUT_SIZE)
        _check(self.input_size % PATCH == 0, f"input_size must be a multiple of {PATCH}, not {self.input_size}")
        _triple("mean", self.mean, 0.0, 1.0)
        _triple("std", self.std, 1e-3, 10.0)
        _check(self.resize in RESIZE_RULES, f"resize must be one of {', '.join(RESIZE_RULES)}, not {self.resize!r}")
        _check(isinstance(self.head, HeadConfig), "head must be an object")
        _number("temperature", self.temperature, float, 1e-3, 1e3)
        _number("threshold", self.threshold, float, 1e-4, 1 - 1e-4)
        _check(self.sha256 == "" or _is_match(self.sha256, _SHA256), "sha256 must be 64 hexadecimal digits")
        _check(self.created == "" or _is_time(self.created), "created must be an ISO 8601 time with a UTC offset")
        _check(isinstance(self.card, Mapping), "card must be an object")

    @property
    def logit_shift(self) -> float:
        """logit(threshold): subtracted from raw / temperature, so that a probability of 0.5 is the decision."""
        return math.log(self.threshold / (1.0 - self.threshold))

    def to_json(self) -> str:
        """The description as JSON text; `from_json` reads it back to an equal config."""
        try:
            return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"The model description cannot be written as JSON ({error}).") from error

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Parse a saved description; unknown or missing keys, wrong types and bad ranges raise CheckpointError."""
        try:
            data = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"model.json is not valid JSON ({error}).") from error
        values = _exact_keys("model.json", data, cls)
        values["head"] = HeadConfig(**_exact_keys("head", values["head"], HeadConfig))
        for name in ("mean", "std"):
            _check(isinstance(values[name], list), f"{name} must be a list of 3 numbers")
            values[name] = tuple(values[name])
        config = cls(**values)
        _check(config.sha256 != "", "sha256 of the weights is missing")
        return config


def _exact_keys(where: str, data: object, model: type) -> dict[str, Any]:
    if not isinstance(data, dict):
        _fail(f"{where} must hold a JSON object")
    known = {item.name for item in fields(model)}
    for name in data:
        _check(name in known, f"{where} has the unknown key {name!r}")
    for name in sorted(known):
        _check(name in data, f"{where} lacks the key {name!r}")
    return dict(data)


def _check_kwargs(kwargs: Mapping[str, object]) -> None:
    _check(isinstance(kwargs, Mapping), "architecture_kwargs must be an object")
    for name, value in kwargs.items():
        _check(name in _ARCHITECTURE_KWARGS, f"architecture_kwargs has the unknown key {name!r}")
        _number(f"architecture_kwargs.{name}", value, *_ARCHITECTURE_KWARGS[name])
    width, heads = kwargs.get("embed_dim"), kwargs.get("num_heads")
    if isinstance(width, int) and isinstance(heads, int):
        _check(width % (4 * heads) == 0, f"embed_dim {width} must be a multiple of 4 x num_heads ({heads}) for RoPE")


def _number(name: str, value: object, kind: type, low: float, high: float) -> None:
    word = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
    if not isinstance(value, int | float) or not _is(value, kind):
        _fail(f"{name} must be {word}, not {value!r}")
    _check(low <= value <= high, f"{name} must be from {low:g} to {high:g}, not {value!r}")


def _is(value: object, kind: type) -> bool:
    """Type test in JSON's sense: true is no number, and a whole number may stand for a float."""
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _triple(name: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, tuple) or len(value) != 3:
        _fail(f"{name} must be 3 numbers")
    for index, item in enumerate(value):
        _number(f"{name}[{index}]", item, float, low, high)


def _text(name: str, value: object) -> None:
    _check(
        isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable(), f"{name} must be 1 to 200 characters"
    )


def _matches(name: str, value: object, pattern: re.Pattern[str], what: str) -> None:
    _check(_is_match(value, pattern), f"{name} must be {what}, not {value!r}")


def _is_match(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and len(value) <= 200 and pattern.fullmatch(value) is not None


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _check(holds: bool, sentence: str) -> None:
    if not holds:
        _fail(sentence)


def _fail(sentence: str) -> NoReturn:
    raise CheckpointError(f"The model description is wrong: {sentence}.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed")
