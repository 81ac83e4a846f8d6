"""Headers of safetensors files that lie: none may cost memory or reach the loader."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from streetvision.models.checks import CheckpointError
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.header import StoredTensor, read_header
from streetvision.models.network import load


def stored(path: Path, header: object, body: bytes = b"", *, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + body)
    return path


def test_a_header_tells_what_is_stored(tmp_path: Path) -> None:
    state = {"a": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.float16), "c": torch.tensor(3)}
    save_file(state, tmp_path / "x", metadata={"format": "pt"})
    assert read_header(tmp_path / "x") == {
        "a": StoredTensor("F32", (2, 3)),
        "b": StoredTensor("F16", (4,)),
        "c": StoredTensor("I64", ()),
    }


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "body", "sentence"),
    [
        (b"", b"", "cut off or absurdly long"),
        (b"not json", b"", "no JSON"),
        (b"\xff\xfe", b"", "no JSON"),
        (b"[" * 100_000, b"", "no JSON"),
        ([], b"", "no JSON object"),
        ({"a": 3}, b"", "malformed"),
        ({"a": ONE | {"shape": [-2]}}, b"12345678", "malformed"),
        ({"a": ONE | {"shape": [True]}}, b"12345678", "malformed"),
        ({"a": ONE | {"shape": [1] * 9}}, b"12345678", "malformed"),
        ({"a": ONE | {"shape": [1 << 60, 1 << 60]}}, b"12345678", "malformed"),
        ({"a": ONE | {"shape": [1 << 40]}}, b"12345678", "another size than its shape"),
        ({"a": ONE | {"data_offsets": [0]}}, b"12345678", "another size"),
        ({"a": ONE | {"data_offsets": [0, 1 << 40], "shape": [1 << 38]}}, b"12345678", "take 1099511627776 bytes but"),
        ({"a": ONE | {"dtype": "F4"}}, b"12345678", "has the type 'F4'"),
        ({"a": ONE, "b": ONE}, b"12345678", "overlap or leave gaps"),
        ({"a": ONE, "b": ONE | {"data_offsets": [12, 20]}}, b"1" * 20, "overlap or leave gaps"),
        ({"a": ONE}, b"123456789", "take 8 bytes but the file has 9"),
        ({f"t{i}": ONE for i in range(20_001)}, b"12345678", "names 20001 tensors"),
    ],
)
def test_a_header_that_cannot_be_true_is_refused(tmp_path: Path, header: object, body: bytes, sentence: str) -> None:
    with pytest.raises(CheckpointError, match=sentence) as caught:
        read_header(stored(tmp_path / "x", header, body))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 3, 9 << 20, (1 << 63) - 1, (1 << 64) - 1])
def test_a_length_that_cannot_be_true_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(CheckpointError):
        read_header(stored(tmp_path / "x", {}, length=length))
    for size in range(8):
        (tmp_path / "y").write_bytes(b"\x00" * size)
        with pytest.raises(CheckpointError, match="cut off"):
            read_header(tmp_path / "y")


def test_a_description_of_billions_of_weights_is_refused_before_they_are_built(tmp_path: Path) -> None:
    kwargs = {"embed_dim": 8192, "depth": 80, "num_heads": 64, "mlp_ratio": 16.0}
    config = ModelConfig(
        "giant", "1.0.0", "vit_small_patch16_dinov3", kwargs, head=HeadConfig(embedding_dim=16384), sha256="0" * 64
    )
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    for described in (config, replace(config, version="1.0.1")):
        (tmp_path / "model.json").write_text(described.to_json())
        with pytest.raises(CheckpointError, match="do not fit their description: the weight 'backbone"):
            load(tmp_path)
