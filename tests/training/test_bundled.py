from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from streetvision.models.dinov3 import LoadedModel, load
from streetvision.models.folder import bundled_checkpoint
from streetvision.scenes.challenges import SEED_LIMIT
from streetvision.scenes.photographic import encode_jpeg
from streetvision.scenes.scenes import render_scene
from streetvision.training.evaluation import squash
from streetvision.training.train import TRAINING_SEEDS

SEEDS = range(SEED_LIMIT - 40, SEED_LIMIT)
"""Fresh: challenges may use them, training and the card's figures did not."""


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load(bundled_checkpoint())


def test_it_is_small_and_says_what_it_is(model: LoadedModel) -> None:
    folder = bundled_checkpoint()
    assert (folder / "model.safetensors").stat().st_size <= 12_000_000
    assert model.config.name == "streetvision-bundled"
    for text in (model.config.card["what"], (folder / "README.md").read_text(encoding="utf-8")):
        assert "drawings" in text
        assert "no claim is made for real photos" in text


def test_its_card_claims_what_was_asked_for(model: LoadedModel) -> None:
    views = model.config.card["figures"]["views"]
    for name in ("clean", "level_0", "native"):
        assert views[name]["accuracy"] >= 0.95, name
    for name in ("level_1", "level_2", "level_3"):
        assert views[name]["accuracy"] >= views[name]["ceiling"] - 0.05, name


def test_it_tells_fresh_scenes_apart(model: LoadedModel) -> None:
    assert max(SEEDS) < TRAINING_SEEDS
    scenes = [render_scene(seed, size=(640, 480)) for seed in SEEDS]
    pictures = np.stack([squash(Image.fromarray(one.image), model.config.input_size) for one in scenes])
    with torch.inference_mode():
        logits, _ = model.net.forward_uint8(torch.from_numpy(pictures))
    right = (logits.numpy() > 0) == np.array([one.roadwork for one in scenes])
    assert right.mean() >= 0.85, "40 scenes at 0.96 fall below this once in several hundred draws; these are fixed"


def test_jpeg_does_not_change_its_mind(model: LoadedModel) -> None:
    scene = render_scene(SEEDS[0], roadwork=True, size=(640, 480))
    plain = squash(Image.fromarray(scene.image), 224)
    with Image.open(BytesIO(encode_jpeg(Image.fromarray(scene.image), 80))) as opened:
        sent = squash(opened, 224)
    with torch.inference_mode():
        logits, _ = model.net.forward_uint8(torch.from_numpy(np.stack([plain, sent])))
    assert abs(float(logits[0] - logits[1])) < 2.0
