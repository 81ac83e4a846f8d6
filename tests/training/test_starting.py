"""Where a training begins: pretrained weights, a file, a version, or nothing; and the networks that can."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from streetvision.errors import OperatorError
from streetvision.models.folder import bundled_checkpoint, read_config
from streetvision.models.versions import ModelVersion
from streetvision.registry.registry import Registry
from streetvision.training.recipe import ModelRecipe
from streetvision.training.starting import Origins, left_behind, load_start, prepare_start

from .nets import never, small_config, small_net, version_at

SMALL = "vit_small_patch16_dinov3.lvd1689m"


def unknown(name: str) -> ModelVersion:
    raise OperatorError(f"There is no model version {name!r}")


NOWHERE = Origins(fetch=never, find=unknown, active=None)


@pytest.mark.parametrize("tag", [SMALL, "vit_small_patch16_dinov3_qkvb.eupe_lvd1689m"])
def test_pretrained_weights_at_another_size_with_another_head(tmp_path: Path, tag: str) -> None:
    torch.manual_seed(1)
    theirs: Any = timm.create_model(tag, pretrained=False, num_classes=0)
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    asked = []

    def fetch(repo: str) -> Path:
        asked.append(repo)
        return tmp_path / "model.safetensors"

    recipe = ModelRecipe(backbone=tag, head="cls_mean_attention", input_size=64)
    licence = prepare_start(recipe, tmp_path / "start", Origins(fetch, unknown, None), seed=0)
    net, config = load_start(tmp_path / "start")
    assert asked == [f"timm/{tag}"]
    assert licence
    assert (config.input_size, config.head.kind, config.why_not_servable is None) == (64, "cls_mean_attention", False)
    torch.testing.assert_close(net.backbone.state_dict()["blocks.3.mlp.fc1.weight"], theirs.blocks[3].mlp.fc1.weight)


def test_a_version_gives_its_backbone_and_a_head_of_the_same_kind(tmp_path: Path) -> None:
    found = version_at(tmp_path / "version", small_config())
    origins = Origins(never, lambda _: found, active="1.0.0")
    for head, kept in (("cls_mean_linear", True), ("cls_linear", False)):
        recipe = ModelRecipe(weights="active", head=head, input_size=48)
        prepare_start(recipe, tmp_path / head, origins, seed=5)
        net, _ = load_start(tmp_path / head)
        theirs = small_net()
        assert torch.equal(net.backbone.blocks[0].attn.proj.weight, theirs.backbone.blocks[0].attn.proj.weight)
        assert torch.equal(net.head.fc.weight, theirs.head.fc.weight) == kept


def test_weights_drawn_at_random_follow_the_seed(tmp_path: Path) -> None:
    recipe = ModelRecipe(backbone="vit_tiny_patch16_dinov3_qkvb", weights="none", input_size=32)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        prepare_start(recipe, tmp_path / name, NOWHERE, seed=seed)
    weights = [load_start(tmp_path / name)[0].backbone.blocks[0].attn.proj.weight for name in "abc"]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (ModelRecipe(weights="active"), "no version was swapped in"),
        (ModelRecipe(weights="1.2.3"), "There is no model version '1.2.3'"),
        (ModelRecipe(weights="/nowhere/x.safetensors"), "there is no file '/nowhere/x.safetensors'"),
        (ModelRecipe(backbone="resnet50.a1_in1k"), "only those are served"),
        (ModelRecipe(backbone="vit_smal_patch16_dinov3.lvd1689m"), "knows no pretrained model"),
    ],
)
def test_what_cannot_begin_is_one_sentence(tmp_path: Path, recipe: ModelRecipe, words: str) -> None:
    with pytest.raises(OperatorError, match=words):
        prepare_start(recipe, tmp_path / "start", NOWHERE, seed=0)
    assert not (tmp_path / "start").exists()


def test_a_head_and_a_size_that_are_left_behind_are_told(tmp_path: Path) -> None:
    origins = Origins(NOWHERE.fetch, Registry(tmp_path / "models").get, None)
    config = read_config(bundled_checkpoint())
    kept = ModelRecipe(weights="bundled", head=config.head.kind, input_size=config.input_size)
    assert left_behind(kept, origins) == ""
    assert left_behind(replace(kept, input_size=64), origins) == (
        f"bundled has input_size {config.input_size}, which this recipe leaves behind; to keep: "
        f"--set model.input_size={config.input_size}"
    )
    assert f"--set model.head={config.head.kind} --set" in left_behind(
        replace(kept, head="cls_linear", input_size=64), origins
    )
    assert left_behind(ModelRecipe(weights="pretrained", input_size=64), origins) == ""


def test_a_hub_that_is_not_reached_leaves_nothing(tmp_path: Path) -> None:
    def unreachable(repo: str) -> Path:
        raise OperatorError(f"The hub cannot be reached for {repo}: check the network.")

    with pytest.raises(OperatorError, match="cannot be reached"):
        prepare_start(ModelRecipe(), tmp_path / "start", Origins(unreachable, unknown, None), seed=0)
    assert not (tmp_path / "start").exists()
