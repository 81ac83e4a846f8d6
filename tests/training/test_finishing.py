"""What a trained version says of itself may be published: no folder of this machine, and the network that it has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streetvision.sources.dataset import Example
from streetvision.training.finishing import backbone_of, published
from streetvision.training.pictures import Pictures
from streetvision.training.recipe import ModelRecipe, Recipe


def test_a_card_names_no_folder() -> None:
    sources = ("folder:/home/me/secret/works", "hub:owner/streets@0123456789ab", "scenes:0-9", "mined:/srv/set-3")
    examples = tuple(Example(Path("a.jpg"), True, "drive", "train", source=source) for source in sources)
    card = Pictures(examples, examples[:1], ("streets",), "00").card()
    assert card["sources"] == ["folder:works", "hub:owner/streets@0123456789ab", "mined:set-3", "scenes:0-9"]
    recipe = published(Recipe(model=ModelRecipe(weights="/home/me/secret/model.safetensors")))
    assert recipe.model.weights == "model.safetensors"
    assert "secret" not in json.dumps(card)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("pretrained", "vit_small_patch16_dinov3.lvd1689m (pretrained)"),
        ("model.safetensors", "vit_small_patch16_dinov3.lvd1689m (model.safetensors)"),
        ("bundled", "vit_tiny_patch16_dinov3_qkvb (bundled)"),
        ("active", "vit_tiny_patch16_dinov3_qkvb (active)"),
        ("1.2.0", "vit_tiny_patch16_dinov3_qkvb (1.2.0)"),
    ],
)
def test_a_model_that_was_gone_on_from_keeps_its_architecture(weights: str, said: str) -> None:
    recipe = ModelRecipe(backbone="vit_small_patch16_dinov3.lvd1689m", weights=weights)
    assert backbone_of(recipe, "vit_tiny_patch16_dinov3_qkvb") == said
