"""The header of a safetensors file, read before the weights: what is in it, and whether the sizes can be true.

The format: 8 bytes little-endian length, that many bytes of JSON, then the tensors' bytes without gaps. See
https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streetvision.models.checks import CheckpointError

HEADER_LIMIT_BYTES = 8 << 20
"""A ViT-7B's header takes 80 kB."""
MAX_TENSORS = 20_000
_LENGTH_BYTES = 8
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor as the header announces it."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Names, dtypes and shapes of the tensors in a safetensors file; raises CheckpointError when they cannot be true.

    Nothing is allocated but the header itself, whose length is bounded: a file cannot claim more than it holds.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(_LENGTH_BYTES)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < _LENGTH_BYTES or not 2 <= length <= min(HEADER_LIMIT_BYTES, size - _LENGTH_BYTES):
            raise _invalid(path, "its header is cut off or absurdly long")
        text = file.read(length)
    try:
        data = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _invalid(path, "its header is no JSON") from error
    if not isinstance(data, dict):
        raise _invalid(path, "its header is no JSON object")
    data.pop("__metadata__", None)
    return _tensors(path, data, size - _LENGTH_BYTES - length)


def _tensors(path: Path, data: Mapping[str, object], body: int) -> dict[str, StoredTensor]:
    if len(data) > MAX_TENSORS:
        raise _invalid(path, f"it names {len(data)} tensors")
    spans, tensors = [], {}
    for name, item in data.items():
        tensor, span = _tensor(path, name, item)
        tensors[name] = tensor
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise _invalid(path, "its tensors overlap or leave gaps")
        end = stop
    if end != body:
        raise _invalid(path, f"its tensors take {end} bytes but the file has {body}")
    return tensors


def _tensor(path: Path, name: str, item: object) -> tuple[StoredTensor, tuple[int, int]]:
    if not isinstance(item, dict) or not _whole(item.get("shape")) or not _whole(item.get("data_offsets")):
        raise _invalid(path, f"its entry {name[:80]!r} is malformed")
    dtype, shape, offsets = item.get("dtype"), tuple(item["shape"]), tuple(item["data_offsets"])
    if dtype not in _ITEM_BYTES:
        raise CheckpointError(f"The weight {name[:80]!r} in {path} has the type {dtype!r}, which is not supported.")
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise _invalid(path, f"its entry {name[:80]!r} has another size than its shape")
    return StoredTensor(dtype, shape), (offsets[0], offsets[1])


def _whole(value: object) -> bool:
    """Whether this is a short list of whole numbers."""
    return (
        isinstance(value, list)
        and len(value) <= 8
        and all(isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 1 << 48 for item in value)
    )


def _invalid(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path} is not a valid safetensors file: {why}.")
