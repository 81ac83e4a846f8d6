"""A batch and its answer as plain values: what travels to a container and back. Pure.

Only numbers, texts, bytes and lists of them travel, so that neither side needs the other's classes to read them, and
each checks what it reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, prod
from typing import Any

import numpy as np

from streetvision.engine.transport import ModelPin, RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble

FORMAT = 1
"""Raised when a side of another release could not read what this one writes."""
MOST_PICTURES = 64
MOST_SIDE = 2048
MOST_WIDTH = 1 << 14
"""Of an embedding."""
_LONGEST = 500
"""Characters of a trouble's words."""

Payload = dict[str, Any]


class BadPayload(ValueError):
    """What came is no batch or no answer; one clause."""


def batch_payload(batch: RemoteBatch) -> Payload:
    """A batch as it is sent."""
    return {
        "format": FORMAT,
        "version": batch.model.version,
        "fingerprint": batch.model.fingerprint,
        "shape": list(batch.images.shape),
        "images": batch.images.tobytes(),
        "seconds": list(batch.seconds),
        "priorities": list(batch.priorities),
        "keys": list(batch.keys),
    }


def read_batch(payload: object) -> RemoteBatch:
    """What `batch_payload` wrote; raises BadPayload, or RemoteFailure(SKEW) for another format."""
    fields = _fields(payload)
    shape = fields.get("shape")
    if not isinstance(shape, list) or len(shape) != 4 or not all(type(side) is int and side > 0 for side in shape):
        raise BadPayload("the batch has no shape")
    count, height, width, channels = shape
    if count > MOST_PICTURES or height != width or width > MOST_SIDE or channels != 3:
        raise BadPayload(f"no batch has the shape {shape}")
    images = _bytes(fields, "images", prod(shape))
    return RemoteBatch(
        model=_pin(fields),
        images=np.frombuffer(images, np.uint8).reshape(shape),
        seconds=_numbers(fields, "seconds", count),
        priorities=_numbers(fields, "priorities", count),
        keys=_texts(fields, "keys", count),
    )


def answer_payload(answer: RemoteAnswer) -> Payload:
    """An answer as it is sent back."""
    return {
        "format": FORMAT,
        "version": answer.model.version,
        "fingerprint": answer.model.fingerprint,
        "count": len(answer.logits),
        "width": answer.embeddings.shape[1],
        "logits": answer.logits.astype("<f4").tobytes(),
        "embeddings": answer.embeddings.astype("<f4").tobytes(),
        "inference": answer.inference,
        "waited": answer.waited,
        "replica": answer.replica,
    }


def trouble_payload(failure: RemoteFailure) -> Payload:
    """A failure as it is sent back."""
    return {"format": FORMAT, "trouble": failure.trouble.value, "why": str(failure)[:_LONGEST]}


def read_answer(payload: object) -> RemoteAnswer:
    """What a container answered; raises RemoteFailure for a trouble, and for what is no answer."""
    try:
        fields = _fields(payload)
        if "trouble" in fields:
            raise _failure(fields)
        count, width = _size(fields, "count", MOST_PICTURES), _size(fields, "width", MOST_WIDTH)
        return RemoteAnswer(
            model=_pin(fields),
            logits=_floats(fields, "logits", count),
            embeddings=_floats(fields, "embeddings", count * width).reshape(count, width),
            inference=_number(fields.get("inference"), "inference"),
            waited=_number(fields.get("waited"), "waited"),
            replica=_text(fields.get("replica"), "replica"),
        )
    except BadPayload as error:
        raise RemoteFailure(RemoteTrouble.INVALID, str(error)) from error


def _fields(payload: object) -> Mapping[str, Any]:
    if not isinstance(payload, dict):
        raise BadPayload(f"a {type(payload).__name__} came, and no table")
    found = payload.get("format")
    if found != FORMAT:
        raise RemoteFailure(
            RemoteTrouble.SKEW, f"the app speaks format {found!r:.20} and this release {FORMAT}: deploy it again"
        )
    return payload


def _failure(fields: Mapping[str, Any]) -> RemoteFailure:
    try:
        trouble = RemoteTrouble(fields["trouble"])
    except ValueError:
        trouble = RemoteTrouble.FAILED
    return RemoteFailure(trouble, _text(fields.get("why"), "why")[:_LONGEST])


def _pin(fields: Mapping[str, Any]) -> ModelPin:
    return ModelPin(_text(fields.get("version"), "version"), _text(fields.get("fingerprint"), "fingerprint"))


def _size(fields: Mapping[str, Any], name: str, most: int) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 < value <= most:
        raise BadPayload(f"{name} is {value!r:.40}")
    return value


def _bytes(fields: Mapping[str, Any], name: str, length: int) -> bytes:
    value = fields.get(name)
    if not isinstance(value, bytes) or len(value) != length:
        raise BadPayload(f"{name} does not hold {length:,} bytes")
    return value


def _floats(fields: Mapping[str, Any], name: str, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.frombuffer(_bytes(fields, name, 4 * count), "<f4").astype(np.float32)


def _numbers(fields: Mapping[str, Any], name: str, count: int) -> tuple[float, ...]:
    return tuple(_number(value, name) for value in _listed(fields, name, count))


def _texts(fields: Mapping[str, Any], name: str, count: int) -> tuple[str, ...]:
    return tuple(_text(value, name) for value in _listed(fields, name, count))


def _listed(fields: Mapping[str, Any], name: str, count: int) -> Sequence[object]:
    value = fields.get(name)
    if not isinstance(value, list) or len(value) != count:
        raise BadPayload(f"{name} is no list of {count}")
    return value


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise BadPayload(f"{name} is {value!r:.40}, and no number")
    return float(value)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise BadPayload(f"{name} is {value!r:.40}, and no text")
    return value
