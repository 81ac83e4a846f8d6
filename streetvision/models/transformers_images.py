"""How a transformers model wants its images: preprocessor_config.json, as the fields of our description."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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


POSITIVE = frozenset(
    {
        *("roadwork", "road work", "roadworks", "road works", "has roadwork", "with roadwork", "works"),
        *("construction", "road construction", "construction site", "construction zone", "work zone", "workzone"),
    }
)
NEGATIVE = frozenset(
    {
        *("none", "no", "no roadwork", "no road work", "no roadworks", "not roadwork", "non roadwork", "noroadwork"),
        *("without roadwork", "no construction", "no road construction", "not construction", "non construction"),
        *("background", "clear", "normal", "nothing", "other", "negative"),
    }
)


def labels_of(id2label: object, count: int) -> tuple[str, ...]:
    """A classifier's labels in the order of its outputs; transformers' own names where it gives none."""
    if id2label is None:
        return tuple(f"LABEL_{index}" for index in range(count))
    wanted = {str(index) for index in range(count)}
    if not isinstance(id2label, Mapping) or set(map(str, id2label)) != wanted:
        raise CheckpointError(f"config.json: id2label must name the classifier's {count} outputs, 0 to {count - 1}.")
    labels = {str(key): str(value) for key, value in id2label.items()}
    return tuple(labels[str(index)] for index in range(count))


def positive_classes(labels: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
    """Indices of the labels that mean roadwork: those `wanted`, else those whose words are known.

    Raises CheckpointError when that would be a guess: an unknown label without `wanted`, or all of them positive.
    """
    found = _named(labels, wanted) if wanted else _known(labels)
    if len(labels) > 1 and len(found) == len(labels):
        raise CheckpointError(f"The labels {_listed(labels)} cannot all mean roadwork.")
    return found


def _known(labels: Sequence[str]) -> tuple[int, ...]:
    words = [_words(label) for label in labels]
    found = tuple(index for index, word in enumerate(words) if word in POSITIVE)
    understood = all(word in POSITIVE or word in NEGATIVE for word in words)
    if not found or not understood or len(set(words)) < len(words):
        raise CheckpointError(
            f"Which of the labels {_listed(labels)} mean roadwork is not clear: name them with --positive LABEL."
        )
    return found


def _named(labels: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
    words = [_words(label) for label in labels]
    found = []
    for name in wanted:
        matching = [index for index, word in enumerate(words) if word == _words(name)]
        if len(matching) != 1:
            raise CheckpointError(f"There is no single label {name!r}; the labels are {_listed(labels)}.")
        found += matching
    return tuple(sorted(set(found)))


def _words(label: str) -> str:
    """Lower case, with one space between words: `No_RoadWork` and `no-roadwork` are the same."""
    return " ".join(re.findall(r"[^\W_]+", label.casefold()))


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(repr(label[:60]) for label in labels[:12])
    return shown + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")
