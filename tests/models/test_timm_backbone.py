"""Pretrained backbones from timm: the same features, a fresh head, and never served as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from streetvision.errors import OperatorError
from streetvision.hub.importers import Wishes, add_model
from streetvision.models.checks import CheckpointError
from streetvision.models.network import load
from streetvision.models.timm_backbone import default_version, import_backbone
from streetvision.registry.registry import Registry

TINY = "vit_tiny_patch16_224.augreg_in21k"
SMALL = "vit_small_patch16_dinov3.lvd1689m"
EUPE = "vit_tiny_patch16_dinov3_qkvb.eupe_lvd1689m"
LINGBOT = "vit_small_patch16_lingbot.robbyant"


def pretrained(folder: Path, tag: str) -> tuple[Path, Any]:
    """Weights as the hub would keep them for a tag; random ones."""
    torch.manual_seed(1)
    model = timm.create_model(tag, pretrained=False, num_classes=0).eval()
    save_file(model.state_dict(), folder / "weights.safetensors")
    return folder / "weights.safetensors", model


def never(repo: str) -> Path:
    raise AssertionError(repo)


@pytest.mark.parametrize("tag", [TINY, SMALL, EUPE, LINGBOT])
def test_a_backbone_gives_what_timm_gives_and_may_not_serve(tmp_path: Path, tag: str) -> None:
    file, model = pretrained(tmp_path, tag)
    registry = Registry(tmp_path / "models")
    added = add_model(f"timm:{tag}", registry, Wishes(weights=file))
    assert (added.name, added.version, added.source) == (tag, default_version(tag), f"timm:{tag}")
    assert added.servable is False
    assert added.why_not is not None
    with pytest.raises(OperatorError, match="may not serve: its head is fresh"):
        registry.servable(added.version)
    with pytest.raises(CheckpointError, match="may not serve: its head is fresh"):
        load(added.folder)
    net = load(added.folder, untrained=True).net
    pixels = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(net.tokens(pixels), model.forward_features(pixels), rtol=0, atol=1e-4)
    assert registry.verify(added.version) == []


def test_the_file_may_come_from_the_repository_that_timm_names(tmp_path: Path) -> None:
    file, _ = pretrained(tmp_path, TINY)
    asked = []

    def fetch(repo: str) -> Path:
        asked.append(repo)
        return file

    import_backbone(TINY, tmp_path / "out", version="0.0.0", fetch=fetch)
    assert asked == [f"timm/{TINY}"]


@pytest.mark.parametrize("tag", ["resnet50.a1_in1k", "deit_tiny_distilled_patch16_224", "vit_base_patch16_clip_224"])
def test_what_is_not_served_is_refused_before_anything_is_fetched(tmp_path: Path, tag: str) -> None:
    with pytest.raises(CheckpointError, match="neither a DINOv3 nor a plain vision transformer"):
        import_backbone(tag, tmp_path / "out", version="0.0.0", fetch=never)


@pytest.mark.parametrize("tag", ["no_such_model", "vit_tiny_patch16_224.no_such_tag", ""])
def test_an_unknown_tag_is_refused(tmp_path: Path, tag: str) -> None:
    with pytest.raises(CheckpointError, match="knows no pretrained model"):
        import_backbone(tag, tmp_path / "out", version="0.0.0", fetch=never)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file, _ = pretrained(tmp_path, TINY)
    state = load_file(file)
    save_file({name: state[name] for name in state if name != "norm.weight"}, file)
    with pytest.raises(CheckpointError, match=r"do not fit timm's .*: the weight 'norm.weight' is missing") as caught:
        import_backbone(TINY, tmp_path / "out", version="0.0.0", fetch=never, file=file)
    assert "\n" not in str(caught.value)
    file.write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointError, match="not a valid safetensors file"):
        import_backbone(TINY, tmp_path / "out", version="0.0.0", fetch=never, file=file)
    pickled = tmp_path / "pytorch_model.bin"
    pickled.write_bytes(b"x")
    for bad in (pickled, tmp_path / "missing.safetensors"):
        with pytest.raises(CheckpointError, match="no safetensors file"):
            import_backbone(TINY, tmp_path / "out", version="0.0.0", fetch=never, file=bad)
    assert not (tmp_path / "out").exists()
