"""From a checkpoint to the OpenVINO model that serves it: converted, and judged where a quicker precision is wished."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from streetvision.engine.types import ImageArray
from streetvision.models.network import StreetVisionNet, load
from streetvision.runner.calibration_images import calibration_images, rounding_images
from streetvision.runner.openvino_model import ROUNDINGS, Model, Seen, convert, rounded, seen_in, watched
from streetvision.runner.openvino_session import Session, has_bfloat16
from streetvision.runner.precision import Precision, compare, judge, noise, require_alike

BATCH = 8
MAX_APART = 1e-3
"""Probability: how far the float32 model may be from timm's."""
QUICK = {"auto": ("int8", "bf16"), "int8": ("int8",), "bf16": ("bf16",), "fp8": ()}
OWN = "float32"

Pictures = Callable[[], ImageArray]
Candidate = tuple[str, str, Model]
"""Precision, in what way, and the model."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """What serves, and why."""

    model: Model
    precision: Precision


def make(folder: Path, wish: str, threads: int, pictures: Pictures | None = None) -> Made:
    """Load, convert and judge the checkpoint in `folder`, as `choose_fast` does for torch's forwards.

    Raises CheckpointError, and RuntimeError where OpenVINO cannot read the network or answers otherwise than timm.
    """
    torch.set_num_threads(threads)
    net = load(folder).net
    model = convert(net)
    _require_equal(net, model, threads)
    if wish == "default":
        return Made(model, Precision(OWN, "it is a CPU's own"))
    drawn = pictures or (lambda: calibration_images(net.input_size))
    made = _judged(model, wish, threads, drawn) if _can(wish) else Made(model, Precision(OWN, _why_not(wish)))
    if wish not in ("auto", made.precision.name):
        logger.warning("%s was asked for, but %s serves: %s", wish, made.precision.name, made.precision.reason)
    return made


def _require_equal(net: StreetVisionNet, model: Model, threads: int) -> None:
    pictures = noise(net.input_size)
    with torch.inference_mode():
        expected = net.forward_uint8(torch.from_numpy(pictures))[0].numpy()
    require_alike(expected, Session(model, OWN, threads)(pictures)["logits"], MAX_APART, "of timm's forward")


def _can(wish: str) -> bool:
    return any(name == "int8" or has_bfloat16() for name in QUICK[wish])


def _why_not(wish: str) -> str:
    return "float8 is for GPUs" if wish == "fp8" else "the processor has no bfloat16 products"


def _judged(model: Model, wish: str, threads: int, pictures: Pictures) -> Made:
    """The first that passes the gate, or float32."""
    images = pictures()
    logger.info("judging %s on %d pictures", " and ".join(QUICK[wish]), len(images))
    seen = seen_on(model, threads, rounding_images(images.shape[1])) if "int8" in QUICK[wish] else {}
    if not all(np.isfinite(values).all() for entered in seen.values() for values in entered):
        return Made(model, Precision(OWN, "activations are not finite, so nothing can be calibrated"))
    logits = _logits(Session(model, OWN, threads), images)
    reasons = []
    for name, way, quick in _candidates(model, wish, seen):
        verdict = judge(compare(logits, _logits(Session(quick, name, threads), images)), name, OWN)
        reason = f"{verdict.reason} ({way})" if way else verdict.reason
        if verdict.name == name:
            return Made(quick, Precision(name, reason))
        reasons.append(reason)
    return Made(model, Precision(OWN, "; ".join(reasons)))


def _candidates(model: Model, wish: str, seen: dict[str, Seen]) -> Iterator[Candidate]:
    for name in QUICK[wish]:
        if name == "int8":
            yield from ((name, rounding.words, rounded(model, seen, rounding)) for rounding in ROUNDINGS)
        elif has_bfloat16():
            yield name, "", model


def seen_on(model: Model, threads: int, images: ImageArray) -> dict[str, Seen]:
    """What enters each product on these pictures, by the product's name."""
    session = Session(watched(model), OWN, threads)
    return seen_in([session(batch) for batch in _batches(images)])


def _logits(session: Session, images: ImageArray) -> NDArray[np.float32]:
    return np.concatenate([session(batch)["logits"] for batch in _batches(images)])


def _batches(images: ImageArray) -> Iterator[ImageArray]:
    return (images[at : at + BATCH] for at in range(0, len(images), BATCH))
