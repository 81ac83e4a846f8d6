from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from streetvision.models.folder import bundled_checkpoint
from streetvision.models.network import LoadedModel, load
from streetvision.scenes.challenges import SEED_LIMIT
from streetvision.scenes.photographic import encode_jpeg
from streetvision.scenes.scenes import render_scene
from streetvision.training.evaluation import squash
from streetvision.training.train import TRAINING_SEEDS

SEEDS = range(SEED_LIMIT - 40, SEED_LIMIT)
"""Fresh: challenges may use them, training and the card's figures did not."""
PHOTOS = os.environ.get("STREETVISION_PHOTOS", "")
"""A folder of JPEG photographs of streets without works."""


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load(bundled_checkpoint())


def test_it_is_small_and_says_what_it_is(model: LoadedModel) -> None:
    folder = bundled_checkpoint()
    assert (folder / "model.safetensors").stat().st_size <= 25_000_000
    assert model.config.name == "streetvision-bundled"
    for text in (model.config.card["what"], (folder / "README.md").read_text(encoding="utf-8")):
        assert "made pictures" in text
        assert "never seen a real photograph of roadwork" in text


def test_it_sees_small_works(model: LoadedModel) -> None:
    """Its input is larger than the smallest challenges, and its head weighs patches."""
    assert model.config.input_size == 320
    assert model.config.head.kind == "cls_mean_attention"


def test_its_card_claims_what_was_asked_for(model: LoadedModel) -> None:
    views = model.config.card["figures"]["views"]
    for name in ("clean", "level_0", "native"):
        assert views[name]["accuracy"] >= 0.95, name
    for name in ("level_1", "level_2", "level_3"):
        assert views[name]["accuracy"] >= views[name]["ceiling"] - 0.06, name
    assert views["composites"]["accuracy"] >= 0.7
    assert views["close-ups"]["accuracy"] >= 0.85


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
    size = model.config.input_size
    plain = squash(Image.fromarray(scene.image), size)
    with Image.open(BytesIO(encode_jpeg(Image.fromarray(scene.image), 80))) as opened:
        sent = squash(opened, size)
    with torch.inference_mode():
        logits, _ = model.net.forward_uint8(torch.from_numpy(np.stack([plain, sent])))
    assert abs(float(logits[0] - logits[1])) < 2.0


@pytest.mark.skipif(not PHOTOS, reason="STREETVISION_PHOTOS names no folder of street photographs")
def test_it_rarely_alarms_on_street_photographs(model: LoadedModel) -> None:
    pictures = []
    for file in sorted(Path(PHOTOS).glob("*.jpg")):
        with Image.open(file) as opened:
            pictures.append(squash(opened, model.config.input_size))
    with torch.inference_mode():
        logits, _ = model.net.forward_uint8(torch.from_numpy(np.stack(pictures)))
    assert float((logits > 0).float().mean()) <= 0.2
