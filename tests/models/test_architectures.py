"""A new backbone or head is one file in its folder, and all that reads descriptions knows it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from streetvision.models import architectures, heads
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.checks import CheckpointError
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import build, load, tiny_config
from streetvision.runner.torch_runner import TorchRunner

ARCHITECTURE = """
import re
import torch
from torch import nn
from streetvision.models.architecture import Architecture


class Means(nn.Module):
    num_features, num_prefix_tokens = 32, 1

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(3, 32)])

    def forward_features(self, pixels):
        means = pixels.flatten(2).transpose(1, 2)[:, :5]
        return self.blocks[0](means)


class OfMeans(Architecture):
    names, described, bounds = re.compile("means_[0-9]+"), "means_ and a number", {"depth": (int, 1, 1)}

    def patch_size(self, name, kwargs):
        return 8

    def create(self, name, kwargs, *, input_size):
        return Means()


ARCHITECTURE = OfMeans()
"""
HEAD = """
import torch
from torch import nn


class Largest(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, 1)

    def forward(self, tokens, *, scale=1.0, shift=0.0, fused=False):
        pooled = tokens.float().amax(dim=1)
        return self.fc(pooled)[:, 0] * scale - shift, pooled


def embedding_dim(width):
    return width


def build(config, width, prefix):
    return Largest(width)
"""


@pytest.fixture
def new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file in either folder, as if it lay beside the others."""
    added: list[tuple[ModuleType, str, str]] = [(architectures, "means", ARCHITECTURE), (heads, "max_linear", HEAD)]
    caches = (architectures.architectures, heads.head_kinds)
    for package, name, source in added:
        folder = tmp_path / package.__name__.rpartition(".")[2]
        folder.mkdir()
        (folder / f"{name}.py").write_text(source)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()
    for package, name, _ in added:
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)


def test_one_file_each_is_all_that_a_new_backbone_and_a_new_head_take(new_files: None, tmp_path: Path) -> None:
    config = ModelConfig("new", "1.0.0", "means_3", {"depth": 1}, 16, head=HeadConfig("max_linear", 32))
    torch.manual_seed(0)
    written = save_checkpoint(tmp_path / "model", config, build(config).state_dict())
    assert ModelConfig.from_json(written.to_json()) == written
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    runner = TorchRunner(tmp_path / "model", device="cpu", buckets=(1, 4), threads=1)
    runner.warmup()
    assert not runner.fast
    with torch.inference_mode():
        expected, _ = load(tmp_path / "model").net.forward_uint8(torch.from_numpy(images))
    np.testing.assert_allclose(runner.run(images).logits, expected.numpy(), atol=1e-5)


def test_a_new_backbone_is_checked_by_its_own_bounds(new_files: None) -> None:
    with pytest.raises(CheckpointError, match=r"architecture_kwargs\.depth must be from 1 to 1, not 2"):
        ModelConfig("new", "1.0.0", "means_3", {"depth": 2}, 16)
    with pytest.raises(CheckpointError, match="input_size must be a multiple of 8, not 20"):
        ModelConfig("new", "1.0.0", "means_3", {}, 20)
    with pytest.raises(CheckpointError, match="architecture must be means_ and a number or vit or a timm DINOv3 name"):
        ModelConfig("new", "1.0.0", "resnet", {})


@pytest.mark.parametrize("name", ["means_3", "", "vit ", "vit_x_patch16_dinov3\n", None, 7, ["vit"], "v" * 999])
def test_another_name_is_none(name: object) -> None:
    with pytest.raises(CheckpointError, match="architecture must be vit or a timm DINOv3 name such as") as caught:
        architectures.check_architecture(name, {})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("kind", ["max_linear", "", "__init__", "../x", None, 3, ["cls_linear"], "h" * 999])
def test_another_kind_of_head_is_none(kind: object) -> None:
    with pytest.raises(CheckpointError, match=r"head\.kind must be one of cls_cosine, cls_linear, cls_mea") as caught:
        HeadConfig(kind)  # type: ignore[arg-type]  # as a stranger's description may say
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("kind", "size"), [("cls_mean_linear", 128), ("cls_mean_attention", 192)])
def test_a_head_of_one_class_is_not_built_for_several(kind: str, size: int) -> None:
    config = replace(tiny_config(width=64, depth=1), head=HeadConfig(kind, size, classes=2, positive=(1,)))
    with pytest.raises(CheckpointError, match=f"a head of kind {kind} has one class"):
        build(config)


def test_descriptions_are_read_without_torch() -> None:
    """So that commands which only list or name models start at once."""
    code = (
        "import sys; from streetvision.models.folder import bundled_checkpoint, read_config; "
        "read_config(bundled_checkpoint()); sys.exit(any(name in sys.modules for name in ('torch', 'timm')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
