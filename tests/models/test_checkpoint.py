from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from streetvision.models.checkpoint import load_checkpoint, save_checkpoint
from streetvision.models.checks import CheckpointError
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.folder import bundled_checkpoint
from streetvision.models.network import build, load, tiny_config

CONFIG = replace(
    tiny_config(depth=1, width=64), input_size=32, card={"data": "none"}, created="2026-11-20T10:00:00+00:00"
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    folder = tmp_path / "model"
    save_checkpoint(folder, CONFIG, build(CONFIG).state_dict())
    return folder


def rewrite(folder: Path, **changes: object) -> None:
    data = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(data | changes))


def replace_weights(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Store other weights with a matching hash, so that later checks are reached."""
    import hashlib

    save_file(state, folder / "model.safetensors")
    rewrite(folder, sha256=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest())


def test_a_saved_checkpoint_comes_back_whole(saved: Path) -> None:
    config, state = load_checkpoint(saved)
    assert replace(config, sha256="") == CONFIG
    assert len(config.sha256) == 64
    torch.manual_seed(0)
    for name, tensor in build(CONFIG).state_dict().items():
        assert torch.equal(state[name], tensor), name
    assert sorted(p.name for p in saved.parent.iterdir()) == ["model"]


def test_half_precision_storage_halves_the_file_and_loads_as_float32(tmp_path: Path, saved: Path) -> None:
    state = load_file(saved / "model.safetensors")
    save_checkpoint(tmp_path / "half", CONFIG, state, dtype=torch.float16)
    stored = load_checkpoint(tmp_path / "half")[1]
    assert {t.dtype for t in stored.values()} == {torch.float16}
    net = load(tmp_path / "half").net
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=2**-10, atol=1e-7)


def test_an_existing_folder_is_kept_unless_told_otherwise(saved: Path) -> None:
    state = {name: tensor + 1 for name, tensor in load_file(saved / "model.safetensors").items()}
    with pytest.raises(CheckpointError, match="exists already"):
        save_checkpoint(saved, CONFIG, state)
    save_checkpoint(saved, CONFIG, state, overwrite=True)
    assert torch.equal(load_checkpoint(saved)[1]["head.fc.bias"], state["head.fc.bias"])
    assert sorted(p.name for p in saved.parent.iterdir()) == ["model"]


def test_a_failed_save_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be written as JSON"):
        save_checkpoint(tmp_path / "x", replace(CONFIG, card={"f": object()}), {"a": torch.ones(1)})
    assert list(tmp_path.iterdir()) == []


def test_weights_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="'big' holds NaN or infinite"):
        save_checkpoint(tmp_path / "x", CONFIG, {"big": torch.full((2,), 1e6)}, dtype=torch.float16)


def test_nan_weights_are_refused_by_name(saved: Path) -> None:
    state = load_file(saved / "model.safetensors")
    state["head.norm.weight"][3] = float("nan")
    replace_weights(saved, state)
    with pytest.raises(CheckpointError, match=r"'head\.norm\.weight' holds NaN"):
        load(saved)


def test_a_hash_mismatch_is_refused(saved: Path) -> None:
    rewrite(saved, sha256="0" * 64)
    with pytest.raises(CheckpointError, match="do not belong together"):
        load_checkpoint(saved)


@pytest.mark.parametrize("keep", [0, 7, 200])
def test_damaged_weights_are_refused(saved: Path, keep: int) -> None:
    import hashlib

    data = (saved / "model.safetensors").read_bytes()[:keep]
    (saved / "model.safetensors").write_bytes(data)
    rewrite(saved, sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(CheckpointError, match="not a valid safetensors file"):
        load_checkpoint(saved)


def test_keys_and_shapes_must_fit(saved: Path) -> None:
    state = load_file(saved / "model.safetensors")
    missing = {k: v for k, v in state.items() if k != "head.fc.weight"}
    replace_weights(saved, missing)
    with pytest.raises(CheckpointError, match=r"'head\.fc\.weight' is missing"):
        load(saved)
    replace_weights(saved, state | {"zzz": torch.ones(1)})
    with pytest.raises(CheckpointError, match="'zzz' is not part"):
        load(saved)
    replace_weights(saved, state | {"head.fc.bias": torch.ones(2)})
    with pytest.raises(CheckpointError, match=r"'head\.fc\.bias' has shape \[2\], not \[1\]"):
        load(saved)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "model.pkl", "last.ckpt"])
def test_pickled_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    for target in (tmp_path, tmp_path / name):
        with pytest.raises(CheckpointError, match=f"{name} is a pickled file"):
            load_checkpoint(target)


def test_incomplete_folders_are_refused(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a folder"):
        load_checkpoint(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"has no model\.json"):
        load_checkpoint(tmp_path / "empty")
    (saved / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        load_checkpoint(saved)
    (saved / "model.json").write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match="not UTF-8"):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 2}, "format 2 is not 1"),
        ({"format": True}, "format True"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"name": ""}, "name must be"),
        ({"version": "1.0"}, "version must be a semantic version"),
        ({"version": 1}, "version must be a semantic version"),
        ({"architecture": "resnet50"}, "architecture must be"),
        ({"architecture": "vit_small_patch16_dinov3.lvd1689m"}, "architecture must be"),
        ({"architecture_kwargs": []}, "architecture_kwargs must be an object"),
        ({"architecture_kwargs": {"depth": 0}}, "depth must be from 1"),
        ({"architecture_kwargs": {"depth": 1.5}}, "depth must be a whole number"),
        ({"architecture_kwargs": {"depth": True}}, "depth must be a whole number"),
        ({"architecture_kwargs": {"pretrained": True}}, "unknown key 'pretrained'"),
        ({"architecture_kwargs": {"embed_dim": 192, "num_heads": 5}}, "multiple of 4 x num_heads"),
        ({"input_size": 225}, "multiple of 16"),
        ({"input_size": 100000}, "input_size must be from"),
        ({"input_size": "224"}, "input_size must be a whole number"),
        ({"mean": [0.5, 0.5]}, "mean must be 3 numbers"),
        ({"mean": 0.5}, "mean must be a list"),
        ({"std": [0.5, 0.0, 0.5]}, r"std\[1\] must be from"),
        ({"resize": "pad"}, "resize must be one of squash, crop"),
        ({"head": 3}, "head must hold a JSON object"),
        ({"head": {"kind": "mlp", "embedding_dim": 128, "eps": 1e-5}}, "head.kind must be one of"),
        ({"head": {"kind": "cls_mean_linear"}}, "head lacks the key"),
        ({"temperature": 0}, "temperature must be from"),
        ({"temperature": None}, "temperature must be a number"),
        ({"threshold": 1.0}, "threshold must be from"),
        ({"sha256": "xyz"}, "64 hexadecimal"),
        ({"sha256": ""}, "sha256 of the weights is missing"),
        ({"created": "yesterday"}, "ISO 8601"),
        ({"created": "2026-01-01T00:00:00"}, "ISO 8601"),
        ({"card": "words"}, "card must be an object"),
    ],
)
def test_a_wrong_description_is_refused_in_one_sentence(saved: Path, change: dict[str, object], sentence: str) -> None:
    rewrite(saved, **change)
    with pytest.raises(CheckpointError, match=sentence) as caught:
        load_checkpoint(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": NaN}', "[" * 100_000])
def test_text_that_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError):
        ModelConfig.from_json(text)


def test_every_key_is_required() -> None:
    data = json.loads(replace(CONFIG, sha256="0" * 64).to_json())
    for name in data.keys() - {"resample"}:  # older descriptions lack it
        rest = {k: v for k, v in data.items() if k != name}
        with pytest.raises(CheckpointError, match=f"lacks the key '{name}'"):
            ModelConfig.from_json(json.dumps(rest))


def test_the_description_survives_its_json() -> None:
    config = replace(CONFIG, sha256="a" * 64, temperature=1.7, threshold=0.4, resize="crop")
    assert ModelConfig.from_json(config.to_json()) == config


def test_the_head_must_fit_the_backbone() -> None:
    with pytest.raises(CheckpointError, match=r"embedding_dim is 100, but .* gives 128"):
        build(replace(CONFIG, head=HeadConfig(embedding_dim=100)))


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(CheckpointError, match="does not know the architecture 'vit_nano_patch16_dinov3'"):
        build(replace(CONFIG, architecture="vit_nano_patch16_dinov3"))


def test_the_bundled_checkpoint_is_found_or_its_absence_explained() -> None:
    try:
        folder = bundled_checkpoint()
    except CheckpointError as error:
        assert "reinstall" in str(error)
    else:
        assert load(folder).config.architecture.startswith("vit_")
