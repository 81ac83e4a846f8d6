"""Sources on the hub become versions: our own checkpoints, transformers classifiers, timm's backbones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save

from streetvision.errors import OperatorError
from streetvision.hub.client import Hub
from streetvision.hub.importers import Wishes, add_model
from streetvision.registry.registry import Registry

from .fake_hub import FakeHub

REPO = "someone/roadwork"
WIDTH, SIDE = 32, 32


def classifier() -> dict[str, bytes]:
    """A repository as transformers saves one: a ViT of one block with random weights."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * 0.2

    state = {"vit.embeddings.cls_token": random(1, 1, WIDTH), "vit.embeddings.position_embeddings": random(1, 5, WIDTH)}
    state["vit.embeddings.patch_embeddings.projection.weight"] = random(WIDTH, 3, 16, 16)
    state["vit.embeddings.patch_embeddings.projection.bias"] = random(WIDTH)
    layer = "vit.encoder.layer.0"
    linear = {f"attention.attention.{name}": (WIDTH, WIDTH) for name in ("query", "key", "value")}
    linear |= {"attention.output.dense": (WIDTH, WIDTH), "intermediate.dense": (64, WIDTH), "output.dense": (WIDTH, 64)}
    for name, shape in linear.items():
        state |= {f"{layer}.{name}.weight": random(*shape), f"{layer}.{name}.bias": random(shape[0])}
    for name in (f"{layer}.layernorm_before", f"{layer}.layernorm_after", "vit.layernorm"):
        state |= {f"{name}.weight": 1 + random(WIDTH), f"{name}.bias": random(WIDTH)}
    state |= {"classifier.weight": random(2, WIDTH), "classifier.bias": random(2)}
    config = {
        "architectures": ["ViTForImageClassification"],
        "model_type": "vit",
        "hidden_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "image_size": SIDE,
        "id2label": {"0": "None", "1": "Roadwork"},
    }
    processor = {"size": {"height": SIDE, "width": SIDE}, "image_processor_type": "ViTImageProcessor", "resample": 2}
    return {
        "config.json": json.dumps(config).encode(),
        "preprocessor_config.json": json.dumps(processor).encode(),
        "model.safetensors": save(state),
        "pytorch_model.bin": b"pickled",
    }


@pytest.fixture
def full(tmp_path: Path) -> Registry:
    """A registry that looks at the golden pictures."""
    return Registry(tmp_path / "models")


@pytest.mark.parametrize(("tag", "card", "version"), [("v1.4.0", "2.0.0", "1.4.0"), ("best", "2.0.0", "2.0.0")])
def test_a_transformers_classifier_is_converted(
    server: FakeHub, hub: Hub, full: Registry, tag: str, card: str, version: str
) -> None:
    files = classifier() | {"model_card.json": json.dumps({"version": card}).encode()}
    repo = server.repo(REPO, files, tag=tag)
    added = add_model(f"hf:{REPO}@{tag}", full, Wishes(hub=hub))
    assert (added.version, added.name, added.source) == (version, REPO, f"hf:{REPO}@{repo.head}")
    assert added.servable
    assert added.card["positive"] == ["Roadwork"]
    assert sorted(path.name for path in added.folder.iterdir()) == [
        "entry.json",
        "golden.json",
        "model.json",
        "model.safetensors",
        "model_card.json",
    ]
    assert full.verify(version) == []
    assert not any("pytorch_model" in path for path in server.paths("GET"))


def test_its_labels_can_be_named(server: FakeHub, hub: Hub, full: Registry) -> None:
    files = classifier()
    config = json.loads(files["config.json"]) | {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
    server.repo(REPO, files | {"config.json": json.dumps(config).encode()})
    with pytest.raises(OperatorError, match="--positive LABEL"):
        add_model(f"hf:{REPO}@v1.0.0", full, Wishes(hub=hub))
    assert [item.version for item in full.versions()] == ["bundled"]
    added = add_model(f"hf:{REPO}@v1.0.0", full, Wishes(hub=hub, positive=("LABEL_0",)))
    assert added.card["positive"] == ["LABEL_0"]


def test_our_own_has_no_labels(server: FakeHub, hub: Hub, full: Registry, files: dict[str, bytes]) -> None:
    server.repo(REPO, files)
    with pytest.raises(OperatorError, match="--positive"):
        add_model(f"hf:{REPO}@v1.0.0", full, Wishes(hub=hub, positive=("x",)))


def test_a_timm_backbone_comes_from_its_repository(server: FakeHub, hub: Hub, full: Registry) -> None:
    tag = "vit_tiny_patch16_224.augreg_in21k"
    torch.manual_seed(0)
    state = timm.create_model(tag, pretrained=False, num_classes=0).state_dict()
    server.repo(f"timm/{tag}", {"config.json": b"{}", "model.safetensors": save(state), "pytorch_model.bin": b"x"})
    added = add_model(f"timm:{tag}", full, Wishes(hub=hub))
    assert added.name == tag
    assert not added.servable
    assert not any("pytorch_model" in path for path in server.paths("GET"))
    assert not list((full.folder / "pulls").rglob("*.safetensors"))
