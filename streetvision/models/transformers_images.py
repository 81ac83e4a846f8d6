"""How a transformers model wants its images: preprocessor_config.json, as the fields of our description."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from streetvision.models.checks import CheckpointError, load_json
from streetvision.models.folder import read_description

PREPROCESSOR = "preprocessor_config.json"
_SQUARE_INTEGERS = ("ViTImageProcessor", "ViTImageProcessorFast", "ViTImageProcessorPil", "ViTFeatureExtractor")
"""With these a single number as the size means both sides."""
_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Pillow's numbers for them, in order."""


class Preparation(TypedDict):
    """Fields of `ModelConfig`."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: str
    resample: str


def read_preparation(folder: Path, size: int) -> Preparation:
    """What the image processor does, for images of `size` pixels a side; CheckpointError for what is not done here."""
    if not (folder / PREPROCESSOR).is_file():
        raise CheckpointError(f"{folder} has no {PREPROCESSOR}, so how it wants its images is unknown.")
    fields = load_json(PREPROCESSOR, read_description(folder, PREPROCESSOR))
    if not isinstance(fields, dict):
        raise CheckpointError(f"{folder / PREPROCESSOR} holds no JSON object.")
    _require(fields.get("do_resize", True) is True, "do_resize must be true")
    resample = fields.get("resample", 2)
    _require(isinstance(resample, int) and 0 <= resample < len(_FILTERS), f"resample {resample!r:.40} is no filter")
    mean, std = _normalisation(fields)
    return Preparation(mean=mean, std=std, resize=_rule(fields, size), resample=_FILTERS[resample])


def _rule(fields: Mapping[str, Any], size: int) -> str:
    given = fields.get("size", {"height": 224, "width": 224})
    kind = fields.get("image_processor_type") or fields.get("feature_extractor_type") or _SQUARE_INTEGERS[0]
    if isinstance(given, int) and kind in _SQUARE_INTEGERS:
        given = {"height": given, "width": given}
    cropped = _crop(fields)
    if given == {"height": size, "width": size} and cropped in (None, size):
        return "squash"
    if given == {"shortest_edge": size} and cropped == size:
        return "crop"
    raise CheckpointError(
        f"{PREPROCESSOR}: this way to a square of {size} pixels is not supported (size {given!r:.80}, crop "
        f"{cropped!r:.20}): save it with size {{'height': {size}, 'width': {size}}} if it was trained so."
    )


def _crop(fields: Mapping[str, Any]) -> object:
    """Side of the square that is cut from the centre; None without one."""
    if not fields.get("do_center_crop"):
        return None
    given = fields.get("crop_size")
    if isinstance(given, dict) and given.get("height") == given.get("width"):
        return given.get("height")
    return given


def _normalisation(fields: Mapping[str, Any]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of pixels in [0, 1], whatever range the processor works in."""
    factor = fields.get("rescale_factor", 1 / 255) if fields.get("do_rescale", True) else 1.0
    _require(_is_number(factor) and factor > 0, f"rescale_factor {factor!r:.40} is no positive number")
    normalises = fields.get("do_normalize", True)
    mean = fields.get("image_mean", [0.5] * 3) if normalises else [0.0] * 3
    std = fields.get("image_std", [0.5] * 3) if normalises else [1.0] * 3
    return _scaled("image_mean", mean, 255 * factor), _scaled("image_std", std, 255 * factor)


def _scaled(name: str, values: object, scale: float) -> tuple[float, float, float]:
    if not isinstance(values, list) or len(values) != 3 or not all(_is_number(value) for value in values):
        raise CheckpointError(f"{PREPROCESSOR}: {name} must be 3 numbers.")
    # 255 times 1/255 is 1 up to rounding: leave such numbers as they were written.
    one, two, three = (value if abs(scale - 1.0) < 1e-6 else value / scale for value in values)
    return one, two, three


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise CheckpointError(f"{PREPROCESSOR}: {sentence}.")
